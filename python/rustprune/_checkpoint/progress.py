"""How far a long call is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int], None]


def of_length(progress: Progress | None, length: int) -> Callable[[int], None] | None:
    """Return what the extension calls, for a caller who also wants to know how much there is at most."""
    if progress is None:
        return None

    def tell(done: int) -> None:
        progress(min(done, length), length)

    return tell
