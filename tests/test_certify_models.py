"""Certificates of torch models: each rule against its explicit matrix, attacks, and the gap at one input.

Long since it holds a model for each kind of rule, whose modules are real ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import rustprune
from rustprune import bounds

Shape: TypeAlias = tuple[int, ...]
Arrays: TypeAlias = dict[str, NDArray[np.bool_]]


class BasicBlock(nn.Module):
    """The residual block of ResNet-18, as torchvision has it."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = None if stride == 1 and inputs == outputs else shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        found: torch.Tensor = self.relu(out)
        return found


class ResNet(nn.Module):
    """A small ResNet of such blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(4, 4, 1), BasicBlock(4, 6, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        found: torch.Tensor = self.fc(torch.flatten(self.avgpool(self.layer1(x)), 1))
        return found


class PreActivation(nn.Module):
    """A dense and a residual branch, with normalisation and activation first, written with functions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        branch = self.conv(nn.functional.relu(self.norm(x)))
        both = torch.cat([x + branch, torch.tanh(branch)], 1)
        pooled = nn.functional.avg_pool2d(both, 2) + nn.functional.max_pool2d(both, 2)
        return torch.log_softmax(self.head(torch.cat([pooled.mean((2, 3)), both.mean([-2, -1])], dim=1)), -1)


class Mixer(nn.Module):
    """Linear layers along tokens and along features."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.tokens = nn.Linear(3, 3)
        self.features = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        x = x + self.tokens(self.norm(x).transpose(1, 2)).transpose(1, 2)
        x = x + nn.functional.gelu(self.features(x))
        return x.view(x.size(0), -1)


def sequential(*layers: nn.Module) -> Callable[[], nn.Module]:
    """Return what makes a model of these layers."""
    return lambda: nn.Sequential(*copy.deepcopy(layers))


MODELS: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "resnet": (ResNet, (3, 16, 12)),
    "pre-activation": (PreActivation, (3, 6, 4)),
    "mixer": (Mixer, (3, 4)),
    "folded": (
        sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3), nn.BatchNorm1d(3)),
        (5,),
    ),
    "diagonal": (sequential(nn.BatchNorm1d(5), nn.Linear(5, 6), nn.ELU(), nn.BatchNorm1d(6)), (5,)),
    "conv1d": (
        sequential(
            nn.Conv1d(2, 4, 3, padding="same", padding_mode="circular", bias=False),
            nn.BatchNorm1d(4),
            nn.SiLU(),
            nn.MaxPool1d(3, 2, 1, ceil_mode=True),
            nn.Conv1d(4, 4, 4, groups=2, padding=2, dilation=2, stride=2),
            nn.AvgPool1d(2),
            nn.Flatten(),
        ),
        (2, 16),
    ),
    "images": (
        sequential(
            nn.Conv2d(2, 8, 3, padding="same"),
            nn.PixelShuffle(2),
            nn.GroupNorm(2, 2, eps=0.1),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2, 2, 3, stride=3, padding=5),
            nn.AdaptiveAvgPool2d((2, 3)),
            nn.Dropout(),
            nn.Softmax(1),
        ),
        (2, 3, 4),
    ),
    "norms": (
        sequential(
            nn.Linear(6, 8), nn.LayerNorm(8, eps=0.1), nn.ReLU(), nn.Linear(8, 6), nn.RMSNorm(6, eps=0.2)
        ),
        (6,),
    ),
    "reshaped": (
        sequential(nn.Linear(6, 8), nn.Unflatten(1, (2, 4)), nn.Softmax(-2), nn.Flatten(), nn.Identity()),
        (6,),
    ),
}


def made(name: str, seed: int) -> tuple[nn.Module, nn.Module, Arrays, Shape]:
    """Return a model with random numbers everywhere, its pruned form, the masks and the shape of an input."""
    make, shape = MODELS[name]
    torch.manual_seed(seed)
    model = make().double().eval()
    with torch.no_grad():
        for key, it in [*model.named_parameters(), *model.named_buffers()]:
            if key.endswith("running_var"):
                it.uniform_(0.2, 2)
            elif it.is_floating_point():
                it.copy_(torch.randn_like(it) / max(it[0].numel(), 1) ** 0.5)
    weights = {key: it.detach() for key, it in model.named_parameters() if it.ndim > 1}
    masks: Arrays = {key: np.asarray(it) for key, it in rustprune.mask(weights, 0.4).items()}
    pruned = copy.deepcopy(model)
    rustprune.apply_({key: it.data for key, it in pruned.named_parameters() if key in masks}, masks)
    return model, pruned, masks, shape


def gaps(model: nn.Module, pruned: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return the distances of the outputs."""
    found: torch.Tensor = (model(x) - pruned(x)).flatten(1).norm(dim=1)
    return found


def attacked(
    model: nn.Module, pruned: nn.Module, center: torch.Tensor, radius: float, steps: int = 30
) -> float:
    """Return the largest gap that random points and gradient ascent from them find in the ball."""

    def inside(x: torch.Tensor) -> torch.Tensor:
        away = x - center
        lengths = away.flatten(1).norm(dim=1).clamp_min(1e-300)
        found: torch.Tensor = center + away * (radius / lengths).reshape(-1, *[1] * (x.ndim - 1))
        return found

    x = inside(center + torch.randn(64, *center.shape, dtype=torch.float64))
    largest = 0.0
    for _ in range(steps):
        x.requires_grad_()
        found = gaps(model, pruned, x)
        largest = max(largest, float(found.detach().max()))
        (slope,) = torch.autograd.grad(found.sum(), x)
        lengths = slope.flatten(1).norm(dim=1).clamp_min(1e-300).reshape(-1, *[1] * (x.ndim - 1))
        x = inside(x.detach() + radius * slope / lengths)
    return largest


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_no_attack_finds_a_gap_above_the_certificate(name: str, seed: int) -> None:
    model, pruned, masks, shape = made(name, seed)
    radius = 10.0 ** (seed - 1)
    center = torch.randn(shape, dtype=torch.float64) * (seed % 2)
    found = bounds.certify(
        model, masks, input_shape=shape, radius=radius, center=center.numpy() if seed else None
    )
    assert found.epsilon.kind == "certified"
    worst = attacked(model, pruned, center, radius)
    assert worst <= found.epsilon.value * (1 + 1e-12)
    # No sharper than what a wrong rule would give, but no empty number either.
    assert found.epsilon.value < 1e4 * worst


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_at_one_input_the_certificate_is_the_gap_of_any_model(name: str, seed: int) -> None:
    model, pruned, masks, shape = made(name, seed)
    center = torch.randn(shape, dtype=torch.float64)
    found = bounds.certify(model, masks, input_shape=shape, radius=0, center=center.numpy()).epsilon.value
    with torch.no_grad():
        gap = float(gaps(model, pruned, center[None]))
    # Outputs are near one; each forward error is some thousand roundings of states below a hundred.
    assert gap - 1e-12 <= found <= gap + 1e-8


LINEAR: dict[str, tuple[nn.Module, Shape]] = {
    "global mean": (nn.AdaptiveAvgPool2d(1), (2, 3, 4)),
    "mean of whole windows": (nn.AvgPool2d(2), (2, 4, 6)),
    "padding that counts": (nn.AvgPool1d(2, 2, 1), (1, 8)),
    "padding that does not count": (nn.AvgPool1d(2, 2, 1, count_include_pad=False), (1, 8)),
    "up-sampling": (nn.Upsample(scale_factor=3), (2, 3, 2)),
    "up-sampling by halves": (nn.Upsample(scale_factor=1.5), (1, 4, 2)),
    "pixel shuffle": (nn.PixelShuffle(2), (4, 2, 2)),
    "channel shuffle": (nn.ChannelShuffle(2), (4, 2, 2)),
    "zeros around": (nn.ZeroPad2d((1, 2, 0, 3)), (2, 2, 2)),
}


def weighted(module: nn.Module, shape: Shape, matrix: torch.Tensor) -> nn.Module:
    """Return a model of a matrix, and the module behind it."""
    layer = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False).double()
    layer.weight.data = matrix.double()
    return nn.Sequential(layer, nn.Unflatten(1, shape), module).eval()


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_rule_is_the_norm_of_its_matrix(name: str) -> None:
    module, shape = LINEAR[name]
    size = int(np.prod(shape))
    eye = torch.eye(size, dtype=torch.float64)
    rows = module(eye.reshape(size, *shape)).reshape(size, -1)
    # All of the identity is pruned, so the gap is the largest value of the module.
    found = bounds.certify(
        weighted(module, shape, eye), {"0.weight": np.zeros((size, size), bool)}, radius=2.0
    )
    expected = 2 * float(torch.linalg.matrix_norm(rows, 2))
    assert found.epsilon.value == pytest.approx(expected, rel=1e-12)
    assert found.epsilon.value >= expected * (1 - 1e-13)


def test_a_mean_over_overlapping_windows_is_bounded_by_its_own_matrix() -> None:
    for padding, counted in [(0, True), (1, True), (1, False)]:
        module = nn.AvgPool1d(3, 2, padding, count_include_pad=counted)
        eye = torch.eye(9, dtype=torch.float64)
        norm = float(torch.linalg.matrix_norm(module(eye.reshape(9, 1, 9)).reshape(9, -1), 2))
        masks = {"0.weight": np.zeros((9, 9), bool)}
        found = bounds.certify(weighted(module, (1, 9), eye), masks, radius=1.0).epsilon.value
        assert norm * (1 - 1e-13) <= found <= 1.2 * norm


def test_a_maximum_reaches_the_root_of_the_uses_of_a_pixel() -> None:
    # One pixel of four windows, of a dilated kernel of two.
    module = nn.MaxPool1d(2, 1, dilation=2)
    masks = {"0.weight": np.zeros((7, 7), bool)}
    model = weighted(module, (1, 7), torch.eye(7))
    found = bounds.certify(model, masks, radius=1.0).epsilon.value
    assert found == pytest.approx(2**0.5, rel=1e-12)
    assert float(module(torch.eye(7)[3:4, None]).norm()) == pytest.approx(2**0.5)


@pytest.mark.parametrize(("module", "constant"), [(nn.Softmax(-1), 0.5), (nn.LogSoftmax(-1), 2**0.5)])
def test_softmax_reaches_its_constant(module: nn.Module, constant: float) -> None:
    # The removed column moves the state by 1e-6 along the steepest line.
    steep = torch.tensor([1.0, -1.0]) if constant < 1 else torch.tensor([1.0, 0.0])
    at_vertex = [0.0, 0.0] if constant < 1 else [40.0, -40.0]
    matrix = torch.eye(3)[:2].double()
    matrix[:, 2] = 1e-6 * steep / steep.norm()
    layer = nn.Linear(3, 2).double()
    layer.weight.data, layer.bias.data = matrix, torch.tensor(at_vertex).double()
    other = copy.deepcopy(layer)
    model, pruned = nn.Sequential(layer, module), nn.Sequential(other, module)
    masks = {"0.weight": np.array([[True, True, False]] * 2)}
    found = bounds.certify(model, masks, radius=1.0).epsilon.value
    rustprune.apply_(other.weight.data, masks["0.weight"])
    worst = attacked(model, pruned, torch.zeros(3, dtype=torch.float64), 1.0)
    # The outputs are evaluated to 1e-15.
    assert worst - 1e-15 <= found <= constant * 1e-6 * (1 + 1e-6)
    # Along (1, 0) at the vertex log-softmax moves by 1 of its sqrt(2).
    assert worst >= 0.49e-6 if constant < 1 else worst >= 0.7 * constant * 1e-6


def test_a_normalisation_reaches_its_constant_at_zero_and_is_better_away_from_it() -> None:
    norm = nn.LayerNorm(2, eps=1e-2).double()
    norm.weight.data = torch.tensor([3.0, 3.0]).double()
    model = weighted(norm, (2,), torch.tensor([[1.0, 1e-4], [1.0, -1e-4]]))
    masks = {"0.weight": np.array([[True, False], [True, False]])}
    at_zero = bounds.certify(model, masks, radius=1e-3).epsilon.value
    # The difference, 1e-7 along (1, -1), times the gain over the root of eps.
    assert at_zero == pytest.approx(1e-7 * 2**0.5 * 3 / 0.1, rel=1e-6)
    pruned = copy.deepcopy(model)
    rustprune.apply_({"0.weight": pruned[0].weight.data}, masks)  # type: ignore[index]
    worst = attacked(model, pruned, torch.zeros(2, dtype=torch.float64), 1e-3)
    assert worst == pytest.approx(at_zero, rel=1e-6)
    # Around a state of variance 4 the slope is 3 / sqrt(4 + eps) instead of 3 / sqrt(eps).
    away = weighted(norm, (2,), torch.tensor([[2.0, 1e-4], [-2.0, -1e-4]]))
    near = bounds.certify(away, masks, radius=1e-3, center=[1.0, 0.0]).epsilon.value
    assert near <= 1e-7 * 2**0.5 * 3 / (4 - 0.01) ** 0.5


def test_batch_normalisation_prunes_the_same_weights_with_and_without_folding() -> None:
    model, pruned, masks, _ = made("folded", 0)
    norm = copy.deepcopy(model[1])  # type: ignore[index]
    found = bounds.certify(model[:2], {"0.weight": masks["0.weight"]}, radius=1.0)  # type: ignore[index]
    factors = norm.weight / (norm.running_var + norm.eps).sqrt()
    removed = (model[0].weight - pruned[0].weight) * factors[:, None]  # type: ignore[index]
    assert found.epsilon.value == pytest.approx(
        float(torch.linalg.matrix_norm(removed.detach(), 2)), rel=1e-12
    )
    assert len(found.layers) == 1
    # By itself, it is bounded by its largest factor.
    apart = nn.Sequential(model[0], nn.Identity(), nn.Softplus(), norm).eval()  # type: ignore[index]
    steps = bounds.certify(apart, {"0.weight": masks["0.weight"]}, radius=1.0).layers
    assert steps[1].gap <= steps[0].gap * float(factors.detach().abs().max()) * (1 + 1e-12)


def test_cancelling_centres_of_every_layer_are_not_trusted_beyond_their_rounding() -> None:
    # The exact state is 1, its computed form 0.
    conv = nn.Conv1d(1, 1, 3, bias=False).double()
    conv.weight.data.fill_(1.0)
    masks = {"0.weight": np.zeros((1, 1, 3), bool)}
    center = [1e16, 1.0, -1e16]
    behind: list[nn.Module] = [nn.Identity(), nn.BatchNorm1d(1), nn.AvgPool1d(1), nn.MaxPool1d(1), nn.Tanh()]
    for module in behind:
        model = nn.Sequential(conv, module, nn.AvgPool1d(1)).double().eval()
        found = bounds.certify(model, masks, input_shape=(1, 3), radius=0, center=center).epsilon.value
        assert found >= 0.76
    mean = weighted(nn.AvgPool1d(3), (1, 3), torch.eye(3))
    pruned = {"0.weight": np.zeros((3, 3), bool)}
    assert bounds.certify(mean, pruned, radius=0, center=center).epsilon.value >= 1 / 3


class Overwriting(nn.Module):
    """Takes a tensor after it was overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        before: torch.Tensor = self.fc(x)
        return nn.functional.relu(before, inplace=True) + before


class Doubling(Overwriting):
    """Multiplies by a number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        found: torch.Tensor = self.fc(x) * 2
        return found


class Casting(Overwriting):
    """Asks for another dtype."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        return nn.functional.softmax(self.fc(x), -1, dtype=torch.float64)


def hooked() -> nn.Module:
    """Return a layer whose output is changed behind its back."""
    layer = nn.Linear(3, 3)
    layer.register_forward_hook(lambda _, __, output: 2 * output)
    return layer


class Mixing(Overwriting):
    """Mixes the examples of a batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        found: torch.Tensor = self.fc(x.flip(0).reshape(-1, 3).transpose(0, 1))
        return found


class Branching(Overwriting):
    """Asks for the values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        found: torch.Tensor = self.fc(x) if x.sum() > 0 else x
        return found


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.Bilinear(3, 3, 1)), (3,), "1: expected a layer .*, got Bilinear"),
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), (3,), r"1: expected batch .* model\.eval\(\)"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), None, "expected input_shape"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), (3, 3), r"0.weight: expected input_shape=\(channels, height"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), (1, 5, 5), "weight: expected padding_mode"),
        (nn.Conv1d(1, 1, 3, padding=2, padding_mode="circular"), (1, 5), "expected circular padding"),
        (nn.Sequential(nn.Linear(3, 3), nn.Upsample(mode="bilinear")), (3,), "1: expected mode='nearest'"),
        (nn.Sequential(nn.Linear(3, 3), nn.Softmax(0)), (3,), "1: expected dim to be an axis of the example"),
        (nn.ReLU(), (3,), "model: expected one layer with weights or more"),
        (nn.Linear(3, 3), (4,), r"weight: expected 3 features, got shape \(4,\)"),
        (Overwriting(), (3,), "add: expected a tensor of which no layer has overwritten the memory"),
        (Casting(), (3,), "softmax: expected a layer .* got the function softmax"),
        (hooked(), (3,), "expected a layer without forward hooks"),
        (Doubling(), (3,), "mul: expected a layer .* got the function mul"),
        (Mixing(), (3,), "flip: expected a layer .* got the method flip"),
        (Branching(), (3,), "model: expected what torch.fx can trace"),
    ],
)
def test_what_has_no_rule_is_named(model: nn.Module, shape: Shape | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bounds.certify(model, {}, input_shape=shape)
