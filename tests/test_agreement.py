"""The same bits on every instruction set and number of threads: every dtype, scope, pattern and output."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import rustprune
from inputs import make
from strategies import DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

LEVELS = ["portable", "avx2", "avx512"]
SHAPES = [(65_537,), (300, 264), (3, 66_004), (5, 8, 52), (), (0, 4)]
REQUESTS: dict[str, dict[str, Any]] = {
    "row": {"ratio": 0.75, "scope": "row"},
    "tensor": {"ratio": 0.75},
    "global": {"ratio": 0.75, "scope": "global"},
    "random row": {"ratio": 0.3, "scope": "row", "method": "random", "seed": 1},
    "random tensor": {"ratio": 0.3, "method": "random", "seed": 1},
    "random global": {"ratio": 0.3, "scope": "global", "method": "random", "seed": 1},
}
PATTERNS: dict[str, dict[str, Any]] = {
    "2:4": {"pattern": "2:4"},
    "3:4 of the second axis": {"pattern": rustprune.NofM(3, 4, axis=1)},
    "random 2:4": {"pattern": "2:4", "method": "random", "seed": 1},
}


def results() -> Iterator[tuple[str, Any]]:
    """Give the name and the arrays of every case: each public function under each of its flags."""
    where = [rustprune.random_mask(shape, 0.2, seed=9) for shape in SHAPES]
    for kind in ["60 % zeros", "nan and infinity"]:
        arrays = [make(kind, math.prod(shape), DTYPES[0]).reshape(shape) for shape in SHAPES]
        mixed = [array.astype(dtype) for array, dtype in zip(arrays, DTYPES, strict=True)]
        yield from _of_all(f"{kind} mixed", mixed, where)
        for dtype in DTYPES:
            typed = [array.astype(dtype) for array in arrays]
            yield from _of_all(f"{kind} {dtype}", typed, where)
            matrices = [array for array in typed if array.ndim > 1 and array.size]
            for name, request in PATTERNS.items():
                yield f"{kind} {dtype} {name}", rustprune.mask(matrices, nan="keep", **request)
                yield (
                    f"{kind} {dtype} {name} packed",
                    rustprune.mask(matrices, nan="keep", packed=True, **request),
                )
    for shape in SHAPES:
        yield f"bernoulli {shape}", [rustprune.random_mask(shape, 0.3, seed=2, bernoulli=True)]


def _of_all(title: str, arrays: list[Any], where: list[Any]) -> Iterator[tuple[str, Any]]:
    for name, request in REQUESTS.items():
        asked = {"nan": "prune", **request}
        yield f"{title} {name}", rustprune.mask(arrays, **asked)
        yield f"{title} {name} packed", rustprune.mask(arrays, packed=True, **asked)
        yield f"{title} {name} where", rustprune.mask(arrays, where=where, **{**asked, "ratio": 0.9})
        if "method" not in request:
            yield f"{title} {name} select", rustprune.select(arrays, **asked)
        pruned = [array.copy() for array in arrays]
        summaries = rustprune.prune_(pruned, **asked)
        yield f"{title} {name} prune_", [*pruned, np.array([repr(summaries)])]
    applied = [array.copy() for array in arrays]
    rustprune.apply_(applied, [rustprune.pack(mask) for mask in where])
    yield f"{title} apply_", applied


def digests() -> dict[str, str]:
    """Return a hash of the bytes of each case."""
    return {
        name: hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]
        for name, arrays in results()
    }


def digests_elsewhere(**variables: str) -> tuple[str, int, dict[str, str]]:
    """Return the level, the number of threads and the digests of a process with these variables set."""
    code = (
        "import json, rustprune, test_agreement as t; from rustprune import _rustprune as r;"
        "print(json.dumps([r.simd_level(), rustprune.get_num_threads(), t.digests()]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=pathlib.Path(__file__).parent,
        env={**os.environ, **variables},
        capture_output=True,
        check=True,
        text=True,
    )
    level, threads, digests = json.loads(found.stdout)
    return level, threads, digests


@functools.cache
def digests_here() -> dict[str, str]:
    rustprune.set_num_threads(2)
    return digests()


def test_cases_differ() -> None:
    """Else the digests would show nothing. Random masks and exact conversions do not depend on the dtype."""
    assert len(set(digests_here().values())) > 200


@pytest.mark.parametrize("threads", [1, 7])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    expected = digests_here()
    rustprune.set_num_threads(threads)
    assert digests() == expected


@pytest.mark.parametrize("cap", LEVELS)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_instruction_set_changes_no_bit(cap: str, threads: int) -> None:
    level, found_threads, found = digests_elsewhere(RUSTPRUNE_SIMD=cap, RUSTPRUNE_NUM_THREADS=str(threads))
    assert level in LEVELS[: LEVELS.index(cap) + 1]
    assert found_threads == threads
    assert found == digests_here()
