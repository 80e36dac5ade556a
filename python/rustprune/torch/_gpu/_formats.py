"""The float formats, as `src/dtype.rs` has them, for kernels and for tensor operations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Format:
    """A float format: its number, its largest magnitude that is not NaN, and integers of its size."""

    code: int
    limit: int
    words: torch.dtype


FORMATS = {
    torch.float64: Format(0, 0x7FF0_0000_0000_0000, torch.int64),
    torch.float32: Format(1, 0x7F80_0000, torch.int32),
    torch.float16: Format(2, 0x7C00, torch.int16),
    torch.bfloat16: Format(3, 0x7F80, torch.int16),
    torch.float8_e4m3fn: Format(4, 0x7E, torch.int8),
    torch.float8_e5m2: Format(5, 0x7C, torch.int8),
}


@dataclass(frozen=True, slots=True)
class KeySpace:
    """The keys of tensors that are compared: of their one format, or of float64 where there are several."""

    code: int
    limit: int
    base: int

    @classmethod
    def of(cls, dtypes: Iterable[torch.dtype], *, signed: bool) -> KeySpace:
        """Return the space of tensors of these dtypes, ranked by value if `signed`, else by magnitude."""
        formats = {FORMATS[dtype] for dtype in dtypes}
        mixed = len(formats) > 1
        one = FORMATS[torch.float64] if mixed else formats.pop()
        return cls(-1 if mixed else one.code, one.limit, one.limit if signed else 0)

    @property
    def top(self) -> int:
        """The largest key: that of NaN."""
        return self.limit + 1

    @property
    def lowest(self) -> int:
        """A key below that of every entry."""
        return -(self.base + 3)

    @property
    def num_bits(self) -> int:
        """Bits of the difference between two keys."""
        return (self.top - self.lowest).bit_length()

    @property
    def dtype(self) -> torch.dtype:
        """Integers that hold every key."""
        return torch.int64 if self.code <= 0 else torch.int32
