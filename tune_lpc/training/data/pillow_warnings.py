"""What Pillow warns of while it reads images: told with the file's name, not as Pillow prints it."""

from __future__ import annotations

import logging
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import Image

log = logging.getLogger(__name__)

_MODULE = r"PIL\."
_here = threading.local()


def reads(place: Callable[[], str] | None) -> None:
    """Note where the image lies that this thread reads from now on; None for none."""
    _here.place = place


@contextmanager
def pillow_warnings() -> Iterator[None]:
    """Within, each kind of warning of Pillow's is kept; at the end the log tells it once, with its first image.

    That an image is large is no news: those above Pillow's limit are refused.
    """
    places: dict[str, str] = {}
    counts: Counter[str] = Counter()
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: object) -> None:
        if (place := getattr(_here, "place", None)) is None:
            usual(message, category, filename, lineno, *rest)  # type: ignore[arg-type]
            return
        text = " ".join(str(message).split())
        counts[text] += 1
        places.setdefault(text, place())

    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=_MODULE)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        try:
            yield
        finally:
            for text, count in counts.items():
                more = f", as of {count - 1:,} more" if count > 1 else ""
                log.warning("%s: Pillow says of this image%s: %s", places[text], more, text)


@contextmanager
def silent_pillow() -> Iterator[None]:
    """Within, Pillow warns of nothing: for images of which it has been told before."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=_MODULE)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
