"""What can be turned: how masks are made, never which."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """How masks are made, not which: tests turn it to force every way a guess can fail."""

    spread: float = 4.0
    """Half the width of the bracket in standard errors of the sample: one of 16,000 is missed."""
    shift: float = 0.0
    """What is added to the guessed rank, as a fraction of the sample."""
    room: float = 1.5
    """Room for candidates, as a multiple of their expected number."""
    in_registers: int = 1 << 14
    """Contests of at most so many entries are decided by one program each."""
    block: int | None = None
    """Entries of a tile; if none, 4096 where masks are bytes and 2048 where they are bits."""
    chunk: int = 1 << 15
    """Entries of a run of tiles, out of which candidates are listed."""
    maxnreg: int | None = 64
    """Registers of a thread where keys take 32 bits and masks bytes: so more tiles are under way at once."""
    programs: int = 528
    """Programs of a kernel that walks through a list."""


DEFAULT = Tuning()
