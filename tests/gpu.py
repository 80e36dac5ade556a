"""What masks on a GPU are tested with: Triton on one, or else its interpreter, and tensor operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike
    from torch import Tensor

    from rustprune.torch._gpu._backend import Backend

HAS_CUDA = torch.cuda.is_available()
# Products of numbers of 32 bits wrap, as they have to.
WRAPS = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")

BACKENDS = [
    pytest.param(("triton", "cuda"), id="cuda", marks=pytest.mark.skipif(not HAS_CUDA, reason="no GPU")),
    pytest.param(
        ("triton", "cpu"),
        id="interpreter",
        marks=[pytest.mark.skipif(HAS_CUDA, reason="the kernels are compiled here"), WRAPS],
    ),
    pytest.param(("operations", "cpu"), id="operations"),
    pytest.param(
        ("operations", "cuda"),
        id="operations on cuda",
        marks=pytest.mark.skipif(not HAS_CUDA, reason="no GPU"),
    ),
]

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]


class Place:
    """Where masks are made, and by what."""

    def __init__(self, backend: Backend, device: str) -> None:
        self.backend, self.device = backend, torch.device(device)
        self.is_interpreted = backend == "triton" and device == "cpu"

    def put(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """Return the tensors there."""
        return [tensor.to(self.device) for tensor in tensors]

    def bits(self, masks: Iterable[ArrayLike]) -> list[Tensor]:
        """Return masks as bits there."""
        return self.put(to_bits(mask) for mask in masks)


def place(param: tuple[Backend, str]) -> Place:
    """Return the place that a parameter stands for."""
    return Place(*param)


def skip_where_interpreted(there: Place, *, unless: bool) -> None:
    """Leave the whole matrix to a GPU and to tensor operations: programs take seconds where interpreted."""
    if there.is_interpreted and not unless:
        pytest.skip("some of the matrix is enough where every program is interpreted")


def to_bits(mask: ArrayLike) -> Tensor:
    """Return the bits of a mask: entry i is bit ``i % 8`` of byte ``i // 8``."""
    return torch.from_numpy(np.packbits(np.asarray(mask, dtype=np.bool_).reshape(-1), bitorder="little"))


def assert_masks(found: Sequence[Tensor], expected: Iterable[ArrayLike], *, packed: bool = True) -> None:
    """Check masks against those of the core."""
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        flat = np.asarray(other, dtype=np.bool_).reshape(-1)
        wanted = to_bits(flat) if packed else torch.from_numpy(flat)
        assert one.dtype == wanted.dtype
        assert torch.equal(one.cpu(), wanted), f"mask {number} of {len(found)} differs"
