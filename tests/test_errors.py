"""Every error of the package: its class, and every word it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
import torch

import rustprune
from rustprune import NofM, apply_, mask, pack, prune_, random_mask, select, unpack
from strategies import Exporter

if TYPE_CHECKING:
    from collections.abc import Callable

W = np.arange(1.0, 7.0).reshape(2, 3)
NAN = np.array([1.0, np.nan, np.nan])
KEPT = np.array([[True, False, False], [True, True, True]])
FLOATS = "float64 or float32 or float16 or bfloat16 or float8_e4m3fn or float8_e5m2"
MEMORY = np.zeros(16, np.uint8)


def read_only() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    array = np.ones(3)
    array.flags.writeable = False
    return array


VALUE_ERRORS: list[tuple[Callable[[], object], str]] = [
    # How much.
    (lambda: mask(W), "expected exactly one of ratio, count and pattern"),
    (lambda: mask(W, 0.5, count=3), "expected exactly one of ratio, count and pattern"),
    (lambda: mask(W, 0.5, pattern="1:3"), "expected exactly one of ratio, count and pattern"),
    (lambda: mask(W, count=3, pattern="1:3"), "expected exactly one of ratio, count and pattern"),
    (lambda: mask(W, -0.125), "ratio must be between 0 and 1, got -0.125"),
    (lambda: select(W, 1.5), "ratio must be between 0 and 1, got 1.5"),
    (lambda: prune_(W, np.nan), "ratio must be between 0 and 1, got NaN"),
    (lambda: random_mask(4, 50, seed=0), "ratio must be between 0 and 1, got 50"),
    (lambda: rustprune.num_pruned(4, -1.0), "ratio must be between 0 and 1, got -1"),
    (lambda: rustprune.num_pruned(-4, 0.5), "n must be in [0, 2**64), got -4"),
    (lambda: mask(W, count=-1), "count must be in [0, 2**64), got -1"),
    (lambda: mask(W, count=2**64), f"count must be in [0, 2**64), got {2**64}"),
    (lambda: mask(W, count=7), "count must be at most the number of entries in an array, 6, got 7"),
    (lambda: mask(W, count=4, scope="row"), "count must be at most the number of entries in a row, 3, got 4"),
    (
        lambda: mask([W, W], count=13, scope="global"),
        "count must be at most the number of entries in all arrays together, 12, got 13",
    ),
    (
        lambda: random_mask(4, count=5, seed=0),
        "count must be at most the number of entries in an array, 4, got 5",
    ),
    # Existing masks.
    (
        lambda: mask({"a": W}, count=1, where={"a": KEPT}),
        "a: num_pruned must be at least the 2 entries that `where` already prunes, got 1",
    ),
    (
        lambda: prune_(W, count=1, where=KEPT, scope="row"),
        "weights, row 0: num_pruned must be at least the 2 entries that `where` already prunes, got 1",
    ),
    (
        lambda: select([W, W], 0.25, where=[KEPT, KEPT], scope="global"),
        "all arrays together: num_pruned must be at least the 4 entries that `where` already prunes, got 3",
    ),
    (
        lambda: mask(W, 0.5, where=KEPT.T),
        "where of weights: expected shape (2, 3) for bool, got (3, 2)",
    ),
    (
        lambda: mask([W], 0.5, where=[KEPT.view(np.uint8)]),
        "where of weights[0]: expected shape (2, 1) for uint8, got (2, 3)",
    ),
    (lambda: mask([W, W], 0.5, where=[KEPT]), "where: expected 2 arrays, got 1"),
    (
        lambda: mask({"a": W, "b": W}, 0.5, where={"b": KEPT, "c": KEPT}),
        "where: expected the keys of weights, got a difference in ['a', 'c']",
    ),
    (lambda: apply_(W, KEPT[0]), "mask of weights: expected shape (2, 3) for bool, got (3,)"),
    (lambda: apply_([W, W], [KEPT]), "mask: expected 2 arrays, got 1"),
    # NaN.
    (
        lambda: mask(NAN, 0.5),
        'weights: expected no NaN, got one at flat index 1; pass nan="keep" or nan="prune" to rank it',
    ),
    (
        lambda: select([W, NAN], 0.5, scope="global"),
        'scores[1]: expected no NaN, got one at flat index 1; pass nan="keep" or nan="prune" to rank it',
    ),
    (
        lambda: prune_({"a": W, "b": NAN}, count=1, scope="row"),
        'b: expected no NaN, got one at flat index 1; pass nan="keep" or nan="prune" to rank it',
    ),
    (
        lambda: mask(NAN, pattern="1:3"),
        'weights: expected no NaN, got one at flat index 1; pass nan="keep" or nan="prune" to rank it',
    ),
    # Patterns.
    (
        lambda: mask({"a": W}, pattern="2:4"),
        "a: the grouped axis must be divisible by 4, got length 3",
    ),
    (
        lambda: random_mask((2, 3), pattern="2:4", seed=0),
        "shape: the grouped axis must be divisible by 4, got length 3",
    ),
    (
        lambda: mask(W, pattern=NofM(4, 3)),
        "pattern must keep 1 to group entries of a group of at most 32, got 4:3",
    ),
    (
        lambda: mask(W, pattern="0:3"),
        "pattern must keep 1 to group entries of a group of at most 32, got 0:3",
    ),
    (
        lambda: mask(W, pattern="1:33"),
        "pattern must keep 1 to group entries of a group of at most 32, got 1:33",
    ),
    (lambda: mask(W, pattern="2/4"), "pattern must be an NofM or a string such as '2:4', got '2/4'"),
    (lambda: mask(W, pattern=NofM(1, 3, axis=2)), "weights: expected an axis 2 to group, got shape (2, 3)"),
    (lambda: mask(W, pattern=NofM(1, 3, axis=-3)), "weights: expected an axis -3 to group, got shape (2, 3)"),
    (lambda: mask(W, pattern="1:3", scope="row"), "scope must be left out with a pattern, got 'row'"),
    (lambda: NofM(-1, 4), "kept must be in [0, 2**32), got -1"),
    (lambda: NofM(1, 2**32), f"group must be in [0, 2**32), got {2**32}"),
    # Words.
    (lambda: mask(W, 0.5, method="value"), "method must be magnitude or random, got 'value'"),  # type: ignore[call-overload]
    (lambda: prune_(W, 0.5, method="l1"), "method must be magnitude or random, got 'l1'"),  # type: ignore[call-overload]
    (lambda: mask(W, 0.5, scope="layer"), 'scope must be row, tensor or global, got "layer"'),  # type: ignore[call-overload]
    (lambda: mask(W, 0.5, nan="ignore"), 'nan must be raise, keep or prune, got "ignore"'),  # type: ignore[call-overload]
    # Seeds.
    (lambda: mask(W, 0.5, method="random"), 'method="random" needs a seed'),
    (lambda: prune_(W, 0.5, seed=1), "seed must be left out unless method is 'random', got 1"),
    (lambda: mask(W, 0.5, method="random", seed=-1), "seed must be in [0, 2**64), got -1"),
    (lambda: random_mask(4, 0.5, seed=2**64), f"seed must be in [0, 2**64), got {2**64}"),
    # Random masks.
    (
        lambda: random_mask(4, count=2, seed=0, bernoulli=True),
        "count and pattern must be left out with bernoulli, got count=2, pattern=None",
    ),
    (lambda: random_mask(4, seed=0), "expected exactly one of ratio, count and pattern"),
    (lambda: random_mask(4, seed=0, bernoulli=True), "expected exactly one of ratio, count and pattern"),
    (lambda: random_mask((4, -1), 0.5, seed=0), "shape must be in [0, 2**64), got -1"),
    # Outputs.
    (
        lambda: mask(W, 0.5, out=np.empty(6, np.bool_)),
        "out of weights: expected shape (2, 3) for bool, got (6,)",
    ),
    (
        lambda: mask([W], 0.5, out=[np.empty((2, 3), np.uint8)], packed=True),
        "out of weights[0]: expected shape (2, 1) for uint8, got (2, 3)",
    ),
    (
        lambda: mask(W, 0.5, where=KEPT, out=KEPT),
        "where of weights: expected memory of its own, got some that out of weights has too",
    ),
    (
        lambda: mask(MEMORY[:8].view(np.float64), 0.5, out=MEMORY[7:8].view(np.bool_)),
        "out of weights: expected memory of its own, got some that weights has too",
    ),
    (
        lambda: prune_([W, W[1:]], 0.5),
        "weights[1]: expected memory of its own, got some that weights[0] has too",
    ),
    (
        lambda: prune_({"a": W, "b": W.T}, 0.5),
        "b: expected memory of its own, got some that a has too",
    ),
    (
        lambda: apply_([torch.ones(4)] * 2, [torch.ones(4, dtype=torch.bool)] * 2),
        "weights[1]: expected memory of its own, got some that weights[0] has too",
    ),
    # Packed masks.
    (
        lambda: unpack(np.zeros((2, 3), np.uint8), (2, 3)),
        "bits: expected shape (2, 1) for a mask of (2, 3), got (2, 3)",
    ),
    (lambda: unpack(np.array([8], np.uint8), 3), "bits: expected padding bits of 0, got others"),
    # Threads.
    (lambda: rustprune.set_num_threads(0), "n must be at least 1, got 0"),
    (lambda: rustprune.set_num_threads(-1), "n must be in [0, 2**64), got -1"),
]

TYPE_ERRORS: list[tuple[Callable[[], object], str]] = [
    # What is no array of floats in CPU memory.
    (lambda: mask(1.0, 0.5), "weights: expected an array, got float"),  # type: ignore[call-overload]
    (lambda: mask([1.0], 0.5), "weights[0]: expected an array, got float"),  # type: ignore[list-item]
    (lambda: mask([[W]], 0.5), "weights[0]: expected an array, got list"),  # type: ignore[list-item]
    (lambda: mask({1: W}, 0.5), "weights: expected keys of type str, got 1"),  # type: ignore[dict-item]
    (lambda: mask(np.ones(3, np.int32), 0.5), f"weights: expected dtype {FLOATS}, got int32"),
    (lambda: mask(np.ones(3, np.complex128), 0.5), f"weights: expected dtype {FLOATS}, got complex128"),
    (
        lambda: mask(np.ones(3, ml_dtypes.float8_e4m3fnuz), 0.5),
        f"weights: expected dtype {FLOATS}, got float8_e4m3fnuz",
    ),
    (lambda: mask(np.array([None]), 0.5), f"weights: expected dtype {FLOATS}, got object"),
    (lambda: select(KEPT, 0.5), f"scores: expected dtype {FLOATS}, got bool"),
    (lambda: prune_(torch.ones(3, dtype=torch.int8), 0.5), f"weights: expected dtype {FLOATS}, got int8"),
    (
        lambda: mask(torch.ones(3, dtype=torch.complex128), 0.5),
        f"weights: expected dtype {FLOATS}, got complex128",
    ),
    (
        lambda: mask([torch.ones(3, device="meta")], 0.5),
        "weights[0]: expected a dense CPU tensor, got torch.strided on meta",
    ),
    (
        lambda: mask(torch.eye(3).to_sparse(), 0.5),
        "weights: expected a dense CPU tensor, got torch.sparse_coo on cpu",
    ),
    (
        lambda: mask(Exporter(W, device=(2, 0)), 0.5),
        "weights: expected an array in CPU memory, got one on DLPack device (2, 0)",
    ),
    (
        lambda: mask(Exporter(np.ones(3, ">f4")), 0.5),
        "weights: expected an array that NumPy can read, got: DLPack only supports native byte order.",
    ),
    # Masks.
    (
        lambda: mask(W, 0.5, where=W),
        "where of weights: expected dtype bool or uint8, got float64",
    ),
    (lambda: mask(W, 0.5, where=[KEPT]), "where of weights: expected an array, got list"),
    (lambda: mask([W], 0.5, where=KEPT), "where: expected a sequence like weights, got ndarray"),
    (lambda: mask({"a": W}, 0.5, where=[KEPT]), "where: expected a mapping like weights, got list"),
    (lambda: apply_([W], {"a": KEPT}), "mask: expected a sequence like weights, got dict"),
    (lambda: pack(W), "mask: expected dtype bool, got float64"),
    (lambda: unpack(KEPT, (2, 3)), "bits: expected dtype uint8, got bool"),
    # What is to be written.
    (lambda: prune_(read_only(), 0.5), "weights: expected a writable array, got a read-only one"),
    (
        lambda: apply_({"a": read_only()}, {"a": np.ones(3, np.bool_)}),
        "a: expected a writable array, got a read-only one",
    ),
    (lambda: mask(W, 0.5, out=np.empty((2, 3), np.uint8)), "out of weights: expected dtype bool, got uint8"),
    (lambda: mask(W, 0.5, out=KEPT, packed=True), "out of weights: expected dtype uint8, got bool"),
    (
        lambda: mask(W, 0.5, out=np.empty((3, 2), np.bool_).T),
        "out of weights: expected a writable array in row-major order, got another",
    ),
    (
        lambda: mask(read_only(), 0.5, out=read_only()[:].astype(np.bool_)[::-1]),
        "out of weights: expected a writable array in row-major order, got another",
    ),
    # Numbers.
    (lambda: mask(W, "0.5"), "ratio must be a number, got str"),  # type: ignore[call-overload]
    (lambda: mask(W, True), "ratio must be a number, got bool"),
    (lambda: mask(W, torch.tensor(0.5)), "ratio must be a number, got Tensor"),  # type: ignore[call-overload]
    (lambda: rustprune.num_pruned(4.0, 0.5), "n must be an int, got float"),  # type: ignore[arg-type]
    (lambda: mask(W, count=2.0), "count must be an int, got float"),  # type: ignore[call-overload]
    (lambda: mask(W, count=True), "count must be an int, got bool"),
    (lambda: random_mask(4, 0.5, seed=1.0), "seed must be an int, got float"),  # type: ignore[call-overload]
    (lambda: random_mask((4, 2.0), 0.5, seed=1), "shape must be an int, got float"),  # type: ignore[arg-type]
    (lambda: NofM(2.0), "kept must be an int, got float"),  # type: ignore[arg-type]
    (lambda: NofM(2, 4, None), "axis must be an int, got NoneType"),  # type: ignore[arg-type]
    (lambda: mask(W, pattern=(2, 4)), "pattern must be an NofM or a string such as '2:4', got (2, 4)"),  # type: ignore[call-overload]
    (lambda: rustprune.set_num_threads(2.0), "n must be an int, got float"),  # type: ignore[arg-type]
]

CASES = [(ValueError, *case) for case in VALUE_ERRORS] + [(TypeError, *case) for case in TYPE_ERRORS]


@pytest.mark.parametrize(("kind", "call", "message"), CASES, ids=map(str, range(len(CASES))))
def test_says_what_was_expected_and_what_was_given(
    kind: type[Exception], call: Callable[[], object], message: str
) -> None:
    before = [array.tobytes() for array in (W, NAN, KEPT)]
    with pytest.raises(kind) as raised:
        call()
    assert (type(raised.value), str(raised.value)) == (kind, message)
    assert [array.tobytes() for array in (W, NAN, KEPT)] == before
