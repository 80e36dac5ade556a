"""Simulated gaps against bounds: violations are no more than the probability allows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

import rustprune
from rustprune import bounds
from rustprune.bounds import Laplace, Network, Normal, Simulation, Uniform
from rustprune.bounds._drawn import Drawn, on_sphere

LAWS = [Uniform(k=1.0), Normal(gain=1.0), Laplace(0.15)]


def allowed(samples: int, delta: float) -> int:
    """Return the number of violations that has a probability below 1e-6 if each has at most `delta`."""
    return int(stats.binom.ppf(1 - 1e-6, samples, delta))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("method", ["magnitude", "random"])
@pytest.mark.parametrize("act", ["relu", "identity", "tanh", "gelu"])
def test_bounds_are_violated_no_more_than_they_say(law: bounds.Law, method: str, act: str) -> None:
    samples = 200
    for sizes in ([3, 4, 2], [6, 12, 8, 3]):
        net = Network.mlp(sizes, weights=law, activation=act, bias_norm=0.1)
        for ratio in 0.2, 0.8:
            drawn = bounds.simulate(net, ratio, method, samples=samples, seed=1, radius=2.0)
            searched = bounds.simulate(net, ratio, method, samples=40, seed=2, radius=2.0, supremum=True)
            for delta in 0.5, 0.1, 0.01:
                asked = {"method": method, "delta": delta, "radius": 2.0}
                points = bounds.estimate(net, ratio, inputs=1, **asked)  # type: ignore[arg-type]
                assert (drawn.gaps > points.epsilon).sum() <= allowed(samples, delta)
                ball = bounds.estimate(net, ratio, **asked)  # type: ignore[arg-type]
                assert (searched.gaps > ball.epsilon).sum() <= allowed(40, delta)


def test_one_budget_over_all_layers_is_bounded_too() -> None:
    rng = np.random.default_rng(0)
    for sizes, law in ([3, 4, 2], Uniform(k=1.0)), ([6, 12, 8, 3], Normal(gain=1.0)):
        net = Network.mlp(sizes, weights=law)
        for ratio in 0.2, 0.8:
            gaps = []
            for _ in range(40):
                drawn = Drawn.of(net, rng)
                masks = rustprune.mask(drawn.weights, ratio, scope="global")
                pruned = [array * mask for array, mask in zip(drawn.weights, masks, strict=True)]
                drawn = dataclasses.replace(drawn, pruned=pruned)
                gaps.append(drawn.largest_gap(on_sphere(rng, (sizes[0], 4), 2.0), 2.0))
            for delta in 0.5, 0.1:
                bound = bounds.estimate_global(net, ratio, delta=delta, radius=2.0).epsilon
                assert (np.array(gaps) > bound).sum() <= allowed(40, delta)
                assert bound < 1000 * max(gaps)


def test_the_search_finds_more_than_random_inputs() -> None:
    net = Network.mlp([8, 16, 4], weights=Uniform(k=1.0))
    random = bounds.simulate(net, 0.5, samples=30, seed=0)
    searched = bounds.simulate(net, 0.5, samples=30, seed=0, supremum=True)
    assert np.median(searched.gaps) > 1.2 * np.median(random.gaps)


def test_the_search_finds_the_norm_of_one_linear_layer() -> None:
    net = Network.mlp([6, 5], weights=Uniform(k=1.0))
    searched = bounds.simulate(net, 1.0, samples=5, seed=0, supremum=True, radius=3.0)
    rng = np.random.Generator(np.random.Philox(0))
    weights = net.layers[0].weights.sample(rng, (5, 6))
    assert searched.gaps[0] == pytest.approx(3 * np.linalg.norm(weights, 2), rel=1e-6)


def test_the_same_seed_gives_the_same_gaps() -> None:
    net = Network.mlp([4, 6, 2], weights=Normal(gain=1.0))
    one, two = (bounds.simulate(net, 0.5, "random", samples=10, seed=5).gaps for _ in range(2))
    assert (one == two).all()


def test_statements_have_the_confidence_they_say() -> None:
    simulation = Simulation(np.arange(1, 60) / 59, supremum=False, confidence=0.95)
    # 59 samples are just enough for the 95 % quantile with confidence 0.95, and it is their largest.
    assert simulation.quantile_bound(0.05) == 1.0
    assert Simulation(simulation.gaps[1:], supremum=False, confidence=0.95).quantile_bound(0.05) == math.inf
    assert simulation.tail_bound(2.0) == pytest.approx(1 - 0.05 ** (1 / 59))
    expected = stats.beta.ppf(0.95, 10, 50)
    assert simulation.tail_bound(50 / 59) == pytest.approx(expected)


def test_means_and_distributions_are_covered_with_the_confidence_they_say() -> None:
    rng = np.random.default_rng(0)
    missed_means = missed_levels = 0
    for _ in range(400):
        # Beta(1, 3) has mean 1/4 and distribution function 1 - (1 - x)^3.
        drawn = Simulation(np.sort(rng.beta(1, 3, 50)), supremum=False, confidence=0.8)
        missed_means += drawn.mean_bound(1.0) < 0.25
        levels = 1 - (1 - drawn.gaps) ** 3
        steps = np.arange(51) / 50
        distance = max((steps[1:] - levels).max(), (levels - steps[:-1]).max())
        missed_levels += distance > drawn.distribution_error()
    assert missed_means <= allowed(400, 0.2)
    # The inequality is nearly sharp, so that some are missed.
    assert 0 < missed_levels <= allowed(400, 0.2)


def test_means_are_bounded_by_the_smaller_of_two_inequalities() -> None:
    same = Simulation(np.full(10_000, 0.5), supremum=False, confidence=0.99)
    assert same.mean_bound(1.0) == pytest.approx(0.5 + 7 * math.log(4 / 0.01) / (3 * 9_999))
    few = Simulation(np.array([0.0, 1.0] * 5), supremum=False, confidence=0.99)
    assert few.mean_bound(1.0) == pytest.approx(0.5 + math.sqrt(math.log(2 / 0.01) / 20))
    with pytest.raises(ValueError, match="largest must be"):
        few.mean_bound(0.5)


@pytest.mark.parametrize(("delta", "confidence"), [(0.05, 0.95), (0.01, 0.99), (0.3, 0.5), (1e-3, 0.999)])
def test_as_many_samples_as_planned_are_enough_and_one_less_is_not(delta: float, confidence: float) -> None:
    enough = bounds.samples_for_quantile(delta, confidence=confidence)
    gaps = np.arange(enough, dtype=np.float64)
    assert Simulation(gaps, supremum=False, confidence=confidence).quantile_bound(delta) == enough - 1
    assert Simulation(gaps[1:], supremum=False, confidence=confidence).quantile_bound(delta) == math.inf
    enough = bounds.samples_for_distribution(delta, confidence=confidence)
    for less, expected in (0, True), (1, False):
        drawn = Simulation(np.zeros(enough - less), supremum=False, confidence=confidence)
        assert (drawn.distribution_error() <= delta) is expected


def test_bad_requests_are_named() -> None:
    net = Network.mlp([4, 6, 2], weights=Normal(gain=1.0))
    with pytest.raises(ValueError, match="method must be"):
        bounds.simulate(net, 0.5, "largest", seed=0)
    with pytest.raises(ValueError, match="confidence must be in"):
        bounds.simulate(net, 0.5, seed=0, confidence=1.0)
    with pytest.raises(ValueError, match="ratio"):
        bounds.simulate(net, 1.5, seed=0)
