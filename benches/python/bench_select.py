"""Magnitude masks against NumPy and torch, and on other input than one random array of float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import ml_dtypes
import numpy as np
import numpy.typing as npt
import torch

import rivals
import rustprune
from timing import Calls, Row, Scale, interleave, main, normal

COLUMNS = 4000
MASK, BITS = "magnitude mask to bool", "magnitude mask to bits"
PARTITION = "NumPy abs + partition + compare"


def numpy(scale: Scale) -> Iterator[Row]:
    """Compare on one big array, at two ratios."""
    weights = normal(scale.entries)
    for ratio, at_least in (0.5, 10), (0.9, None):
        calls: Calls = {
            MASK: partial(rustprune.mask, weights, ratio),
            BITS: partial(rustprune.mask, weights, ratio, packed=True),
            PARTITION: partial(rivals.numpy_partition, weights, ratio),
            "NumPy argpartition": partial(rivals.numpy_argpartition, weights, ratio),
        }
        times = interleave(f"{scale.entries:,} float32, ratio {ratio}", scale, calls)
        moved = weights.nbytes + weights.size
        yield times.faster(MASK, PARTITION, moved=moved, at_least=at_least)
        yield times.faster(MASK, "NumPy argpartition", moved=moved)
        yield times.faster(BITS, PARTITION, moved=weights.nbytes + weights.size // 8)


def numpy_sparse(scale: Scale) -> Iterator[Row]:
    """Compare on an array that was pruned before."""
    weights = with_zeros(normal(scale.entries), 0.6)
    calls: Calls = {
        MASK: lambda: rustprune.mask(weights, 0.8),
        PARTITION: lambda: rivals.numpy_partition(weights, 0.8),
    }
    times = interleave(f"{scale.entries:,} float32, 60 % zeros, ratio 0.8", scale, calls)
    yield times.faster(MASK, PARTITION, moved=weights.nbytes + weights.size)


def numpy_rows(scale: Scale) -> Iterator[Row]:
    """Compare with a budget for each row."""
    weights = normal(scale.entries // COLUMNS, COLUMNS)
    ours, theirs = "mask with scope row", "NumPy abs + partition(axis=1) + compare"
    calls: Calls = {
        ours: lambda: rustprune.mask(weights, 0.5, scope="row"),
        theirs: lambda: rivals.numpy_partition(weights, 0.5),
    }
    times = interleave(f"{weights.shape[0]:,} x {COLUMNS:,} float32, ratio 0.5", scale, calls)
    yield times.faster(ours, theirs, moved=weights.nbytes + weights.size)


def numpy_in_place(scale: Scale) -> Iterator[Row]:
    """Compare where zeros are written and no mask is asked for."""
    weights = normal(scale.entries)
    work = weights.copy()
    ours, theirs = "prune_ in place", "NumPy abs + partition + compare + multiply"
    calls: Calls = {
        ours: lambda: rustprune.prune_(work, 0.5),
        theirs: lambda: rivals.numpy_prune_(work, 0.5),
    }
    given = f"{scale.entries:,} float32, ratio 0.5"
    times = interleave(given, scale, calls, before=lambda: np.copyto(work, weights))
    yield times.faster(ours, theirs, moved=2 * weights.nbytes)


def numpy_loop(scale: Scale) -> Iterator[Row]:
    """Compare on thousands of small arrays."""
    count, size = scale.entries // 50_000, 10_000
    weights = dict(zip(map(str, range(count)), normal(count, size), strict=True))
    ours, theirs = "many small arrays in one call", f"the loop of {PARTITION}"
    calls: Calls = {
        ours: lambda: rustprune.mask(weights, 0.5),
        theirs: lambda: [rivals.numpy_partition(array, 0.5) for array in weights.values()],
    }
    times = interleave(f"{count:,} x {size:,} float32, ratio 0.5", scale, calls)
    yield times.faster(ours, theirs, moved=5 * count * size, at_least=5)


def torch_tensor(scale: Scale) -> Iterator[Row]:
    """Compare on one big tensor."""
    weights = torch.from_numpy(normal(scale.entries))
    theirs: dict[str, tuple[Callable[[torch.Tensor, float], object], float | None]] = {
        "torch kthvalue + compare": (rivals.torch_kthvalue, None),
        "torch topk": (rivals.torch_topk, None),
        "prune.l1_unstructured": (rivals.torch_l1_unstructured, 150),
    }
    calls: Calls = {MASK: partial(rustprune.mask, weights, 0.5)}
    calls |= {name: partial(call, weights, 0.5) for name, (call, _) in theirs.items()}
    times = interleave(f"{scale.entries:,} float32, ratio 0.5", scale, calls)
    for name, (_, at_least) in theirs.items():
        yield times.faster(MASK, name, moved=5 * scale.entries, at_least=at_least)


def torch_bfloat16(scale: Scale) -> Iterator[Row]:
    """Compare on one big tensor of bfloat16."""
    weights = torch.from_numpy(normal(scale.entries)).to(torch.bfloat16)
    ours, theirs = "bfloat16 mask to bool", "torch kthvalue + compare"
    calls: Calls = {
        ours: lambda: rustprune.mask(weights, 0.5),
        theirs: lambda: rivals.torch_kthvalue(weights, 0.5),
    }
    times = interleave(f"{scale.entries:,} bfloat16, ratio 0.5", scale, calls)
    yield times.faster(ours, theirs, moved=3 * scale.entries)


def torch_global(scale: Scale) -> Iterator[Row]:
    """Compare with one budget over many tensors."""
    count = 200
    weights = torch.from_numpy(normal(scale.entries)).chunk(count)
    named = dict(zip(map(str, range(count)), weights, strict=True))
    ours, theirs = "mask with scope global over a mapping", "prune.global_unstructured"
    calls: Calls = {
        ours: lambda: rustprune.mask(named, 0.5, scope="global"),
        theirs: lambda: rivals.torch_global_unstructured(named, 0.5),
    }
    times = interleave(f"{count} x {scale.entries // count:,} float32, ratio 0.5", scale, calls)
    yield times.faster(ours, theirs, moved=5 * scale.entries)


def torch_two_of_four(scale: Scale) -> Iterator[Row]:
    """Compare on a pattern."""
    weights = torch.from_numpy(normal(scale.entries // COLUMNS, COLUMNS))
    ours, theirs = "2:4 mask to bool", "torch topk + scatter"
    calls: Calls = {
        ours: lambda: rustprune.mask(weights, pattern="2:4"),
        theirs: lambda: rivals.torch_two_of_four(weights),
    }
    times = interleave(f"{weights.shape[0]:,} x {COLUMNS:,} float32", scale, calls)
    yield times.faster(ours, theirs, moved=5 * scale.entries, at_least=15)


def inputs(scale: Scale) -> Iterator[Row]:
    """Compare our own time on input that is not random with that on random input."""
    weights = normal(scale.entries)
    scales = 10 ** np.random.default_rng(1).uniform(-3, 3, scale.entries // COLUMNS).astype(np.float32)
    kinds = {
        "mask of random data": weights,
        "mask of 60 % zeros": with_zeros(weights, 0.6),
        "mask of 100 % zeros": np.zeros_like(weights),
        "mask of a constant": np.ones_like(weights),
        "mask of sorted data": np.sort(weights),
        "mask of data sorted by magnitude": np.sort(np.abs(weights)),
        "mask of row-scaled data": (weights.reshape(-1, COLUMNS) * scales[:, np.newaxis]).ravel(),
    }
    calls: Calls = {kind: partial(rustprune.mask, kinds[kind], 0.5) for kind in kinds}
    times = interleave(f"{scale.entries:,} float32, ratio 0.5", scale, calls)
    random, *others = kinds
    for kind in others:
        yield times.slower(kind, random, moved=5 * scale.entries, at_most=1.5)


def dtypes(scale: Scale) -> Iterator[Row]:
    """Compare our own time on the other formats with that on as many float32."""
    weights = normal(scale.entries)
    formats = {
        np.dtype(name): at_most
        for name, at_most in {
            np.float64: None,
            np.float16: None,
            ml_dtypes.bfloat16: 1.0,
            ml_dtypes.float8_e4m3fn: None,
            ml_dtypes.float8_e5m2: None,
        }.items()
    }
    arrays = {f"mask of {dtype.name}": weights.astype(dtype) for dtype in (weights.dtype, *formats)}
    calls: Calls = {name: partial(rustprune.mask, array, 0.5) for name, array in arrays.items()}
    times = interleave(f"{scale.entries:,}, ratio 0.5", scale, calls)
    for dtype, at_most in formats.items():
        moved = (dtype.itemsize + 1) * scale.entries
        yield times.slower(f"mask of {dtype.name}", "mask of float32", moved=moved, at_most=at_most)


def containers(scale: Scale) -> Iterator[Row]:
    """Compare our own time on arrays that share a budget, and with more arguments, with that on one array."""
    count = 200
    weights = normal(scale.entries)
    named = dict(zip(map(str, range(count)), np.split(weights, count), strict=True))
    quarter = rustprune.mask(weights, 0.25)
    out = np.empty_like(quarter)
    one, cut = "mask of one array", f"mask of {count} arrays with scope global"
    calls: Calls = {
        one: lambda: rustprune.mask(weights, 0.5),
        cut: lambda: rustprune.mask(named, 0.5, scope="global"),
        "mask with where=, a quarter of it False": lambda: rustprune.mask(weights, 0.5, where=quarter),
        "mask with out=": lambda: rustprune.mask(weights, 0.5, out=out),
    }
    times = interleave(f"{scale.entries:,} float32, ratio 0.5", scale, calls)
    yield times.slower(cut, one, moved=5 * scale.entries, at_most=1.3)
    yield times.slower("mask with where=, a quarter of it False", one, moved=6 * scale.entries)
    yield times.slower("mask with out=", one, moved=5 * scale.entries)


def with_zeros(weights: npt.NDArray[np.float32], fraction: float) -> npt.NDArray[np.float32]:
    """Return the weights with that fraction, at random places, zero."""
    return rustprune.random_mask(weights.shape, fraction, seed=1) * weights


if __name__ == "__main__":
    main(
        numpy,
        numpy_sparse,
        numpy_rows,
        numpy_in_place,
        numpy_loop,
        torch_tensor,
        torch_bfloat16,
        torch_global,
        torch_two_of_four,
        inputs,
        dtypes,
        containers,
    )
