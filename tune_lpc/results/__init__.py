"""The results of a search: the journal that records it, and the tables made from it. Opens without torch and Ray."""

from tune_lpc.results.export import Tables, export, load_ranked, load_run, write_run
from tune_lpc.results.folder import folder_problems, holds_run
from tune_lpc.results.history import STATUSES
from tune_lpc.results.journal import JOURNAL_FILE, Journal, read_journal
from tune_lpc.results.summary import RankedConfig, Summary, summarise

__all__ = [
    "JOURNAL_FILE",
    "STATUSES",
    "Journal",
    "RankedConfig",
    "Summary",
    "Tables",
    "export",
    "folder_problems",
    "holds_run",
    "load_ranked",
    "load_run",
    "read_journal",
    "summarise",
    "write_run",
]
