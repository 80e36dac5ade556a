"""Tables of validate_bounds.py on networks: a-priori bounds against drawn ones, and their certificates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rustprune import bounds
from rustprune.bounds import Network
from rustprune.bounds._drawn import Drawn, on_sphere
from violations import LAWS, METHODS, Floats, Violations, law, spread

DELTA = 0.1
ACTIVATIONS = ("identity", "relu")


@dataclass(frozen=True)
class Plan:
    """What is drawn of one width: depths, ratios, draws, and how many of them are searched."""

    depths: tuple[int, ...]
    ratios: tuple[float, ...]
    draws: int
    searched: int


def network(width: int, depth: int, name: str, activation: str = "relu") -> Network:
    """Return networks of one width with 10 outputs, all but the first and the last layer pruned.

    Of two layers the last one is pruned.
    """
    sizes = [width] * depth + [10]
    laws = [law(name, max(pair)) for pair in itertools.pairwise(sizes)]
    return Network.mlp(sizes, weights=laws, activation=activation, pruned=range(1, max(depth - 1, 2)))


def networks(plans: dict[int, Plan], violations: Violations) -> Iterator[str]:
    """Yield the table of networks at 0.1: bounds over simulated quantiles, least, median and largest."""
    columns = ["activation", "width", "layers", "ball/search", "textbook/ball, median", "one input/simulated"]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    rng = np.random.default_rng(2)
    rows: dict[str, list[str]] = {act: [] for act in ACTIVATIONS}
    for width, plan in plans.items():
        for depth in plan.depths:
            quotients: dict[str, list[Floats]] = {act: [] for act in ACTIVATIONS}
            for name in LAWS:
                found = measured(rng, network(width, depth, name), plan)
                known = {act: bounded(network(width, depth, name, act), plan.ratios) for act in ACTIVATIONS}
                for at, kind in (0, "network, ball"), (1, "network, one input"):
                    side_by_side = np.concatenate([found[act][at] for act in ACTIVATIONS], axis=1)
                    bound = np.concatenate([known[act][at] for act in ACTIVATIONS])
                    violations.add(kind, DELTA, side_by_side, bound)
                for act, (searched, drawn) in found.items():
                    ball, one, textbook = known[act]
                    over_ball = ball / np.quantile(searched, 1 - DELTA, axis=0)
                    over_one = one / np.quantile(drawn, 1 - DELTA, axis=0)
                    quotients[act].append(np.array([over_ball, textbook / ball, over_one]))
            for act, of_laws in quotients.items():
                balls, textbooks, ones = np.concatenate(of_laws, axis=1)
                cells = [
                    act,
                    str(width),
                    str(depth),
                    spread(balls),
                    f"{np.median(textbooks):.3g}",
                    spread(ones),
                ]
                rows[act].append(f"| {' | '.join(cells)} |")
    for act in ACTIVATIONS:
        yield from rows[act]


def bounded(net: Network, ratios: tuple[float, ...]) -> tuple[Floats, Floats, Floats]:
    """Return bounds over the ball, at one input and textbook ones, for all methods and ratios."""
    methods = [[method] for method in METHODS]
    ball = bounds.estimate(net, ratios, method=methods, delta=DELTA).epsilon.ravel()
    one = bounds.estimate(net, ratios, method=methods, delta=DELTA, inputs=1).epsilon.ravel()
    pairs = itertools.product(METHODS, ratios)
    textbook = [bounds.classical(net, ratio, method=method, delta=DELTA) for method, ratio in pairs]
    return ball, one, np.array(textbook)


def measured(rng: np.random.Generator, net: Network, plan: Plan) -> dict[str, tuple[Floats, Floats]]:
    """Return, by activation, what a search finds over the ball and what one random input shows.

    A row for each draw, a column for each method and ratio: weights are drawn once for all of them.
    """
    cells = len(METHODS) * len(plan.ratios)
    found = {act: (np.empty((plan.searched, cells)), np.empty((plan.draws, cells))) for act in ACTIVATIONS}
    inputs = net.layers[0].shape[1]
    for draw in range(plan.draws):
        # In float32 gaps are right to some digits, which is enough for quotients, and passes cost half.
        drawn = Drawn.of(net, rng, np.float32)
        x = on_sphere(rng, (inputs, 4), 1.0).astype(np.float32)
        for at, (method, ratio) in enumerate(itertools.product(METHODS, plan.ratios)):
            pruned = drawn.prune(net.pruned, ratio, method, rng)
            for act, (searched, seen) in found.items():
                active = pruned.activate(act)
                seen[draw, at] = active.gap_at(x[:, :1])[0]
                if draw < plan.searched:
                    searched[draw, at] = active.largest_gap(x, 1.0)
    return found


def certificates(width: int, depths: list[int], draws: int) -> Iterator[str]:
    """Yield the table of Theorem 5 for drawn ReLU networks, in medians."""
    columns = ["layers", "method", "ratio", "product/search", "no joint norm/search", "Theorem 5/search"]
    columns += ["ball, a priori/Theorem 5", "radius 0.01/gap", "radius 0.1/gap"]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    rng = np.random.default_rng(3)
    for depth, method, ratio in itertools.product(depths, METHODS, (0.1, 0.5, 0.9)):
        net = network(width, depth, "uniform")
        ball = float(bounds.estimate(net, ratio, method=method, delta=DELTA).epsilon)
        rows = [certified(rng, net, ratio, method, ball) for _ in range(draws)]
        cells = [str(depth), method, f"{ratio:g}", *(f"{it:.2f}" for it in np.median(rows, axis=0))]
        yield f"| {' | '.join(cells)} |"


def certified(
    rng: np.random.Generator, net: Network, ratio: float, method: str, ball: float
) -> tuple[float, ...]:
    """Return the quotients of one row for one draw."""
    drawn = Drawn.of(net, rng).prune(net.pruned, ratio, method, rng)
    masks = [pruned != 0 for pruned in drawn.pruned]
    inputs = net.layers[0].shape[1]
    searched = drawn.largest_gap(on_sphere(rng, (inputs, 4), 1.0), 1.0)
    whole = bounds.certify(drawn.weights, masks)
    plain = bounds.certify(drawn.weights, masks, joint=False)
    # Norms of weights and removed parts alone, and the triangle inequality.
    state, gap = 1.0, 0.0
    for layer in plain.layers:
        gap = layer.weights.value * gap + layer.removed.value * (state + gap)
        state *= layer.weights.value
    center = on_sphere(rng, (inputs, 1), 1.0)
    there = float(drawn.gap_at(center)[0])
    local = [
        bounds.certify(drawn.weights, masks, center=center, radius=radius).epsilon.value / there
        for radius in (0.01, 0.1)
    ]
    epsilon = whole.epsilon.value
    return gap / searched, plain.epsilon.value / searched, epsilon / searched, ball / epsilon, *local
