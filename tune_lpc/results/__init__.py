"""The results of a search: the journal that records it, and the tables made from it. Opens without torch and Ray."""

from tune_lpc.results.export import Tables, export, write_run
from tune_lpc.results.folder import MIN_FREE_BYTES, folder_problems, holds_run
from tune_lpc.results.journal import JOURNAL_FILE, Journal, JournalLocked, read_journal, seconds_written
from tune_lpc.results.ledger import Ledger, read_ledger
from tune_lpc.results.loading import load_ranked, load_run, sessions_of
from tune_lpc.results.summary import RungAgreement, Summary, summarise

__all__ = [
    "JOURNAL_FILE",
    "MIN_FREE_BYTES",
    "Journal",
    "JournalLocked",
    "Ledger",
    "RungAgreement",
    "Summary",
    "Tables",
    "export",
    "folder_problems",
    "holds_run",
    "load_ranked",
    "load_run",
    "read_journal",
    "read_ledger",
    "seconds_written",
    "sessions_of",
    "summarise",
    "write_run",
]
