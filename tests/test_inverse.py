"""The inverse questions: what they find meets the margin, and one step more does not where it should not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

import rustprune
from rustprune import bounds
from rustprune.bounds import Network, Uniform
from rustprune.cli import commands


def test_the_count_is_that_of_the_theory_page() -> None:
    # Width 64, weights of variance 1/64, only the second layer pruned.
    net = Network.mlp([64, 64, 64, 10], weights=Uniform(bound=np.sqrt(3 / 64)), pruned=[1])
    found = bounds.max_prunable(net, epsilon=0.5, delta=0.01, layer=1, theorem="ball")
    assert found is not None
    assert abs(found - 905) <= 2


@pytest.mark.parametrize("method", bounds.METHODS)
@pytest.mark.parametrize("inputs", [None, 100])
def test_what_is_found_meets_the_margin(method: str, inputs: int | None) -> None:
    net = Network.mlp([32, 64, 64, 8], weights=Uniform(k=1.0), pruned=[1, 2])
    for epsilon in 0.001, 0.05, 0.4:
        count = bounds.max_prunable(net, epsilon=epsilon, layer=1, method=method, inputs=inputs)
        assert count is not None
        bound = bounds.estimate(net, counts=[0, count, 0], method=method, inputs=inputs)
        assert bound.epsilon <= epsilon
        split = bounds.allocate(net, epsilon=epsilon, method=method, inputs=inputs)
        assert split.bound.epsilon <= epsilon
        assert split.counts[0] == 0
        assert sum(split.counts) >= count


def test_more_may_go_for_a_larger_margin() -> None:
    net = Network.mlp([32, 64, 64, 8], weights=Uniform(k=1.0))
    totals = [sum(bounds.allocate(net, epsilon=epsilon).counts) for epsilon in (0.01, 0.05, 0.2, 1.0, 100.0)]
    assert totals == sorted(totals)
    assert totals[-1] == 32 * 64 + 64 * 64 + 64 * 8


def test_an_allocation_makes_masks() -> None:
    net = Network.mlp([16, 32, 4], weights=Uniform(k=1.0))
    rng = np.random.default_rng(0)
    weights = [layer.weights.sample(rng, layer.shape) for layer in net.layers]  # type: ignore[arg-type]
    found = bounds.allocate(net, epsilon=0.2)
    masks = [rustprune.mask(array, count=count) for array, count in zip(weights, found.counts, strict=True)]
    assert tuple(int((~mask).sum()) for mask in masks) == found.counts


def test_no_count_meets_a_margin_below_zero_gap_of_the_rest() -> None:
    net = Network.mlp([32, 64, 8], weights=Uniform(k=1.0))
    assert bounds.max_prunable(net, epsilon=1e-9, layer=0, counts=[0, 100]) is None


def test_the_width_is_that_of_the_theory_page() -> None:
    found = bounds.min_width(depth=4, alpha=0.25, epsilon=0.1, delta=0.05, theorem="ball")
    assert found is not None
    # The page's width is 148, without the bounded laws' last cell of the joint norm.
    assert found.width <= 148
    assert found.epsilon <= 0.1


@pytest.mark.parametrize("method", bounds.METHODS)
@pytest.mark.parametrize(("alpha", "epsilon"), [(0.2, 0.5), (0.25, 0.1), (0.5, 0.5), (0.8, 0.2)])
def test_the_closed_width_is_one_where_the_closed_form_meets_the_margin(
    method: str, alpha: float, epsilon: float
) -> None:
    width = bounds.closed_width(depth=4, alpha=alpha, epsilon=epsilon, method=method)
    assert width is not None
    size = int(width) ** 2
    bound = bounds.closed_form(
        depth=4, width=int(width), ratio=math.floor(size ** (1 - alpha)) / size, method=method
    )
    assert bound <= epsilon


def test_the_command_prints_the_split() -> None:
    arguments = ["allocate", "--sizes", "32,64,8", "--epsilon", "0.2"]
    text = CliRunner().invoke(commands, arguments, catch_exceptions=False).stdout
    assert "P(gap > 0." in text
    facts = json.loads(CliRunner().invoke(commands, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert sum(facts["counts"]) > 0
    assert facts["sizes"] == [2048, 512]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0.1, "layer": 9}, "layer must be"),
        ({"epsilon": 0.1, "layer": 0, "method": "largest"}, "method must be"),
        ({"epsilon": 0.1, "layer": 0, "delta": 0.0}, "delta must be"),
        ({"epsilon": 0.1, "layer": 0, "inputs": 2, "theorem": "ball"}, "theorem must be left out"),
    ],
)
def test_bad_requests_are_named(arguments: dict[str, object], message: str) -> None:
    net = Network.mlp([8, 4, 2], weights=Uniform(k=1.0))
    with pytest.raises(ValueError, match=message):
        bounds.max_prunable(net, **arguments)  # type: ignore[arg-type]


def test_closed_widths_are_finite_and_requests_for_them_are_checked() -> None:
    assert bounds.closed_width(depth=64, alpha=0.1, epsilon=1e-300) is None
    for name, value in ("alpha", 1.0), ("delta", 1.5), ("epsilon", 0.0), ("k", -1.0):
        with pytest.raises(ValueError, match=f"{name} must be"):
            bounds.closed_width(**({"depth": 3, "alpha": 0.5, "epsilon": 0.1} | {name: value}))  # type: ignore[arg-type]
