"""Code of the user's own: found when a search begins; that of results is run only for those who know it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tune_lpc.plan import Space, UserError
from tune_lpc.plan.own_code import CODE_FOLDER, OwnCode, collect_own_code, read_own_code
from tune_lpc.results import holds_run, load_run

FILES = "code"
"""Of run.json: the digests of the files that the search ran of the user's own."""


def code_of_searches(spaces: Sequence[Space], folders: Sequence[Path], *, resume: bool, trust: bool) -> OwnCode:
    """What searches need of the user's own; what is gone by now is taken from the results of the one that goes on.

    trust: whether the code in results may run, known or not. Raises UserError for files that are not there.
    """
    references = sorted({reference for space in spaces for reference in space.own_references})
    places = [*dict.fromkeys(space.folder for space in spaces if space.folder is not None), Path()]
    try:
        return collect_own_code(references, places)
    except UserError:
        before = next((folder for folder in folders if resume and holds_run(folder)), None)
        digests = load_run(before).get(FILES) if before is not None else None
        if before is None or not digests:
            raise
        return code_of_results(before, {FILES: digests}, trust=trust)


def code_of_results(directory: Path, run: Mapping[str, Any], *, trust: bool) -> OwnCode:
    """The code that the search in `directory` ran of its user's own, none where it ran none.

    run: the content of run.json. trust: whether it may run here, known or not.
    Raises UserError where it was changed, and where nobody here has run it and trust is not given.
    """
    code = read_own_code(directory, run.get(FILES) or {})
    if code and not trust and not _is_known(code):
        names = ", ".join(str(directory / CODE_FOLDER / name) for name in code.files)
        raise UserError(
            f"the search in {directory} ran code of its user's own, which you have not run here before: look at "
            f"{names}, and if it may run here add --trust-code"
        )
    return code


def remember(code: OwnCode) -> None:
    """Note that the user runs this code, so that it need not be asked again."""
    if code and not _is_known(code):
        path = _mark(code)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _is_known(code: OwnCode) -> bool:
    try:
        return _mark(code).stat().st_uid == os.geteuid()  # others may write to a cache that is shared
    except OSError:
        return False


def _mark(code: OwnCode) -> Path:
    from tune_lpc.training.data.cache import cache_folder  # torch takes seconds to import

    return cache_folder() / "own_code" / code.digest
