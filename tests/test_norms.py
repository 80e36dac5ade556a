"""Norms of a matrix and of its parts: what is certified is never below, and the bits are always the same."""

from __future__ import annotations

import itertools
import subprocess
import sys
from fractions import Fraction
from typing import Literal, TypeAlias

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import rustprune
from rustprune import bounds

Floats: TypeAlias = NDArray[np.floating]

SPECTRAL = ("schur", "collatz", "gram", "cholesky", "spectral", "frobenius")
DTYPES = (
    np.float64,
    np.float32,
    np.float16,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
)


def part_of(weights: Floats, mask: NDArray[np.bool_], part: str) -> Floats:
    """Build what the library does not build."""
    wide = weights.astype(np.float64)
    parts: dict[str, Floats] = {"all": wide, "kept": wide * mask, "removed": wide * ~mask}
    return parts[part]


@pytest.mark.parametrize("part", ["all", "kept", "removed"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("packed", [False, True])
def test_sums_are_those_of_the_part_for_every_dtype_and_kind_of_mask(
    part: bounds.Part,
    dtype: type,
    packed: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    weights: Floats = np.random.default_rng(0).standard_normal((37, 203)).astype(dtype)
    mask = rustprune.random_mask(weights.shape, 0.3, seed=1)
    expected = part_of(weights, mask, part)
    given_mask = rustprune.pack(mask) if packed else mask
    found = bounds.norms(
        weights, given_mask, part=part, kinds=("frobenius", "one", "infinity", "nonzero", "largest")
    )
    exact = {
        "frobenius": np.linalg.norm(expected),
        "one": np.linalg.norm(expected, 1),
        "infinity": np.linalg.norm(expected, np.inf),
        "nonzero": np.count_nonzero(expected),
        "largest": np.abs(expected).max(),
    }
    for name, value in exact.items():
        # Rounded up by a few units in the last place for each of at most 7,511 terms.
        assert value * (1 - 1e-15) <= found[name].value <= value * (1 + 1e-11), name
        assert found[name].kind == "certified"


@pytest.mark.parametrize("seed", range(20))
def test_certified_bounds_are_not_below_the_exact_norm_on_adversarial_scales(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 9, 2)
    scales = 10.0 ** rng.integers(-8, 9, width)
    weights = rng.standard_normal((height, width)) * scales * 10.0 ** rng.choice([-160, -20, 0, 20, 140])
    rows = [[Fraction(entry) for entry in row] for row in weights.tolist()]
    gram = [[dot(one, other) for other in rows] for one in rows]
    for name, norm in bounds.norms(weights, kinds=SPECTRAL).items():
        assert norm.kind == "certified"
        assert is_positive_semidefinite(gram, Fraction(norm.value) ** 2), name


def dot(one: list[Fraction], other: list[Fraction]) -> Fraction:
    """Return the exact scalar product."""
    return sum((x * y for x, y in zip(one, other, strict=True)), Fraction(0))


def is_positive_semidefinite(gram: list[list[Fraction]], shift: Fraction) -> bool:
    """Return whether ``shift * I - gram`` has no negative eigenvalue, by exact elimination."""
    matrix = [
        [(shift if i == j else Fraction(0)) - entry for j, entry in enumerate(row)]
        for i, row in enumerate(gram)
    ]
    for k, pivot_row in enumerate(matrix):
        if pivot_row[k] < 0 or (pivot_row[k] == 0 and any(pivot_row[k + 1 :])):
            return False
        if pivot_row[k] == 0:
            continue
        for row in matrix[k + 1 :]:
            factor = row[k] / pivot_row[k]
            for j in range(k, len(matrix)):
                row[j] -= factor * pivot_row[j]
    return True


def test_the_exact_check_notices_a_bound_that_is_too_low() -> None:
    gram = [[Fraction(2), Fraction(1)], [Fraction(1), Fraction(2)]]
    assert is_positive_semidefinite(gram, Fraction(3))
    assert not is_positive_semidefinite(gram, Fraction(3) - Fraction(1, 10**30))


@given(st.integers(0, 2**32))
def test_lanczos_is_rarely_too_low_and_not_far_too_high(seed: int) -> None:
    weights = np.random.default_rng(seed).standard_normal((60, 40))
    exact = np.linalg.norm(weights, 2)
    norm = bounds.norms(weights, kinds=["lanczos"], delta=1e-9, seed=seed)["lanczos"]
    assert norm.kind == "probabilistic"
    assert norm.delta == 1e-9
    assert exact * (1 - 1e-12) <= norm.value <= 1.011 * exact


def test_bits_do_not_depend_on_threads_or_instruction_set() -> None:
    code = (
        "import numpy as np, rustprune\n"
        "from rustprune import bounds\n"
        "w = np.random.default_rng(0).standard_normal((700, 900)).astype(np.float32)\n"
        "kinds = ['frobenius', 'one', 'infinity', 'schur', 'collatz', 'lanczos', 'power']\n"
        "found = bounds.norms(w, rustprune.mask(w, 0.5), kinds=kinds)\n"
        "print([norm.value.hex() for norm in found.values()])\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"RUSTPRUNE_SIMD": level, "RUSTPRUNE_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for level in ("portable", "avx2", "avx512")
        for threads in ("1", "3")
    }
    assert len(answers) == 1


def test_tensors_and_convolutions_are_matrices_of_their_rows() -> None:
    kernel = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    found = bounds.norms(kernel.to(torch.bfloat16), kinds=["infinity"])["infinity"].value
    rows = kernel.to(torch.bfloat16).double().abs().reshape(8, -1).sum(1).max().item()
    assert rows * (1 - 1e-15) <= found <= rows * (1 + 1e-12)


def test_zero_and_empty_matrices_have_norm_zero() -> None:
    for shape in (3, 4), (0, 4), (3, 0):
        assert {norm.value for norm in bounds.norms(np.zeros(shape), kinds=SPECTRAL).values()} == {0.0}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(value: float) -> None:
    weights = np.ones((3, 4))
    weights[1, 2] = value
    if np.isnan(value):
        with pytest.raises(ValueError, match="6"):
            bounds.norms(weights)
    else:
        assert bounds.norms(weights, kinds=["frobenius"])["frobenius"].value == np.inf


def test_bad_requests_are_named() -> None:
    weights = np.ones((3, 4))
    with pytest.raises(ValueError, match="two axes or more"):
        bounds.norms(np.ones(3))
    with pytest.raises(ValueError, match="spectrum"):
        bounds.norms(weights, kinds=["spectrum"])
    with pytest.raises(ValueError, match="delta"):
        bounds.norms(weights, kinds=["lanczos"], delta=0.0)
    with pytest.raises(ValueError, match="expected shape"):
        bounds.norms(weights, np.ones((4, 3), bool))
    with pytest.raises(TypeError, match="delta must be a number, got str"):
        bounds.norms(weights, delta="small")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="stride must be a pair of ints, got 2"):
        bounds.conv_norm(np.ones((1, 1, 3, 3)), stride=2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="size must be an int, got float"):
        bounds.conv_norm(np.ones((1, 1, 3, 3)), size=(8.0, 8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kernel must have four axes"):
        bounds.conv_norm(weights)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_convolutions_are_bounded_by_what_they_do_to_images(
    seed: int, padding: Literal["zeros", "circular"]
) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((4, 2, 3, 3)) * 10.0 ** rng.integers(-3, 4, (1, 1, 3, 3))
    mask = rustprune.mask(kernel, 0.4)
    for stride, (height, width) in itertools.product((1, 2, 3), ((6, 5), (6, 6), (7, 4))):
        conv = torch.nn.Conv2d(
            4, 4, 3, stride=stride, padding=1, groups=2, bias=False, padding_mode=padding
        ).double()
        conv.weight.data = torch.from_numpy(kernel * ~mask)
        images = torch.eye(4 * height * width, dtype=torch.float64).reshape(-1, 4, height, width)
        exact = np.linalg.norm(conv(images).flatten(1).detach().numpy(), 2)
        steps = (stride, stride)
        here = bounds.conv_norm(kernel, mask, size=(height, width), padding=padding, stride=steps, groups=2)
        anywhere = bounds.conv_norm(kernel, mask, padding=padding, stride=steps, groups=2)
        for found in here, anywhere:
            assert found.kind == "certified"
            assert exact * (1 - 1e-12) <= found.value
        assert here.value <= 4 * exact


def test_no_start_is_trusted_further_than_its_rounding() -> None:
    weights = np.ones((40, 40))
    for starts, delta in (1, 2e-14), (2, 2e-28):
        found = bounds.norms(weights, kinds=["lanczos"], delta=delta, starts=starts)["lanczos"]
        assert found.value >= 40
        with pytest.raises(ValueError, match="delta must be at least 1e-14 to the power of starts"):
            bounds.norms(weights, kinds=["lanczos"], delta=delta / 4, starts=starts)
