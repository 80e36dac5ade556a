"""The diagnosis of independence: quiet on fresh weights, loud on trained and on coupled ones."""

from __future__ import annotations

import numpy as np
import pytest

from rustprune import _demo, bounds


@pytest.mark.parametrize("law", [bounds.Uniform(k=1.0), bounds.Normal(gain=1.0), bounds.Laplace(0.1)])
def test_fresh_weights_are_rarely_rejected(law: bounds.Law) -> None:
    rejected = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        weights = [law.sample(rng, shape) for shape in ((12, 8), (6, 12), (3, 6))]
        rejected += bounds.diagnose(weights, law, alpha=0.05, permutations=99, seed=seed).rejected
    # At most binomial(40, 0.05): more than 10 have a probability below 1e-5.
    assert rejected <= 10


def test_trained_weights_are_rejected_and_the_bounds_that_hold_are_said() -> None:
    weights = [array.astype(np.float64) for array in _demo.load().weights.values()]
    found = bounds.diagnose(weights)
    assert found.rejected
    assert found.bounds == (bounds.A_POSTERIORI,)
    assert "rejected at 0.01" in str(found)


def test_each_assumption_has_a_test_that_notices() -> None:
    rng = np.random.default_rng(0)
    fresh = rng.uniform(-1, 1, (60, 40))
    law = bounds.Uniform(bound=1.0)
    assert bounds.diagnose([np.abs(fresh)], law).layers[0].signs < 1e-6
    wrong = bounds.diagnose([fresh / 2], law).layers[0].law
    assert wrong is not None
    assert wrong < 1e-6
    scaled = fresh * rng.uniform(0.1, 3, (60, 1))
    assert bounds.diagnose([scaled]).layers[0].rows == pytest.approx(0.002)
    assert bounds.diagnose([fresh + 0.5]).layers[0].spectrum == pytest.approx(0.002)
    after = rng.uniform(-1, 1, (20, 60)) * np.linalg.norm(scaled, axis=1)
    assert bounds.diagnose([scaled, after]).couplings[0] == pytest.approx(0.002)


def test_the_same_seed_gives_the_same_p_values() -> None:
    weights = [np.random.default_rng(0).normal(size=(9, 7))]
    assert bounds.diagnose(weights, seed=3) == bounds.diagnose(weights, seed=3)


def test_bad_weights_are_named() -> None:
    with pytest.raises(ValueError, match=r"weights\[0\] must be finite"):
        bounds.diagnose([np.array([[np.nan, 1.0]])])
    with pytest.raises(ValueError, match="one array or more"):
        bounds.diagnose([])
