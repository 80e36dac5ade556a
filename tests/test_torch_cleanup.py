"""Dead units: found to a fixpoint, and removed without changing what a model computes."""

import copy
import re
from collections.abc import Callable
from typing import Any, Literal, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import rustprune.torch as rpt


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.Sigmoid(),
        nn.Dropout(0.5),
        nn.Linear(8, 7, bias=False),
        nn.BatchNorm1d(7),
        nn.ELU(),
        nn.Linear(7, 5),
        nn.Softmax(dim=-1),
    )


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.Softplus(),
        nn.MaxPool2d(2, padding=1),
        nn.Sequential(nn.Conv2d(6, 5, 2, bias=False), nn.Tanh(), nn.AvgPool2d(2, padding=1)),
        nn.Conv2d(5, 4, 3, padding=1),
        nn.Hardswish(),
        nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular"),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.LeakyReLU(),
        nn.Linear(16, 3),
        nn.ReLU(),
        nn.Linear(3, 3),
    )


def signal() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(2, 5, 3, padding=1, padding_mode="reflect"), nn.SiLU(), nn.Conv1d(5, 3, 3), nn.Flatten()
    )


STACKS: dict[str, tuple[Callable[[], nn.Sequential], tuple[int, ...]]] = {
    "mlp": (mlp, (4, 6)),
    "cnn": (cnn, (3, 2, 9, 9)),
    "signal": (signal, (3, 2, 7)),
}


def drawn(kind: str, seed: int, dtype: torch.dtype) -> tuple[nn.Sequential, Tensor]:
    make, shape = STACKS[kind]
    torch.manual_seed(seed)
    model = make().to(dtype)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(cast("Tensor", tensor))
    return model.eval(), torch.randn(shape, dtype=dtype)


def furthest(one: Tensor, other: Tensor) -> float:
    return float((one - other).detach().abs().max() / other.detach().abs().max())


# Sums of other terms in another order: some tens of roundings of 1e-16 and 6e-8, of the largest output.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@settings(max_examples=50)
@given(
    kind=st.sampled_from(sorted(STACKS)),
    seed=st.integers(0, 1000),
    ratio=st.sampled_from([0.3, 0.7, 0.9, 0.97, 1.0]),
)
def test_a_model_without_its_dead_units_computes_the_same(
    dtype: torch.dtype, tolerance: float, kind: str, seed: int, ratio: float
) -> None:
    model, inputs = drawn(kind, seed, dtype)
    masks = rpt.masks(model, ratio, method="random", seed=seed, scope="global")
    dense = copy.deepcopy(model.state_dict())
    dead = rpt.dead_units(model, masks)
    small = rpt.remove_dead_units(model, masks)
    assert all(torch.equal(dense[name], value) for name, value in model.state_dict().items())
    rpt.apply_(model, masks)
    assert furthest(small(inputs), model(inputs)) <= tolerance
    for name, units in dead.items():
        before, after = (len(one.get_parameter(f"{name}.weight")) for one in (model, small))
        assert after == max(before - len(units), 1)
        assert len(units) == before or len(rpt.dead_units(small)[name]) == 0
    added = {*small.state_dict()} ^ {*model.state_dict()}
    assert all(name.endswith(".bias") for name in added)  # where a layer without one takes a constant
    assert not rpt.is_pruned(small)
    for parameter in small.parameters():
        assert parameter.is_leaf
        assert parameter.requires_grad


@given(seed=st.integers(0, 1000), ratio=st.sampled_from([0.5, 0.8, 0.9]))
def test_what_is_found_is_the_fixpoint_of_both_rules(seed: int, ratio: float) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    masks = rpt.masks(model, ratio, method="random", seed=seed, scope="global")
    kept = [mask.clone() for mask in masks.values()]
    dead: list[set[int]] = [set(), set()]
    for _ in range(20):
        for place in (0, 1):
            for unit in range(6):
                if not kept[place][unit].any() or not kept[place + 1][:, unit].any():
                    dead[place].add(unit)
                    kept[place][unit], kept[place + 1][:, unit] = False, False
    found = rpt.dead_units(model, masks)
    assert {name: set(units.tolist()) for name, units in found.items()} == {"0": dead[0], "2": dead[1]}


def test_a_constant_is_folded_and_what_it_empties_follows() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    kept = {"0.weight": [[1], [0]], "2.weight": [[0, 1], [1, 0]], "4.weight": [[1, 1]]}
    masks = rpt.Masks({name: torch.tensor(rows, dtype=torch.bool) for name, rows in kept.items()})
    assert {name: units.tolist() for name, units in rpt.dead_units(model, masks).items()} == {
        "0": [1],
        "2": [0],
    }
    small = rpt.remove_dead_units(model, masks)
    assert [tuple(one.shape) for one in small.parameters()] == [(1, 1), (1,), (1, 1), (1,), (1, 1), (1,)]
    # Unit 1 gives relu(0.5), so unit 0 of the next layer gives 0.5 + 0.5 * 0.5, and the last 0.5 times that.
    assert small.get_parameter("4.bias").item() == 0.5 + 0.5 * 0.75


@pytest.mark.parametrize(
    ("padding", "mode", "bias", "dead"),
    [(1, "zeros", 1.0, []), (1, "zeros", -1.0, [1]), (0, "zeros", 1.0, [1]), (1, "replicate", 1.0, [1])],
)
def test_constants_do_not_fold_where_zeros_are_padded(
    padding: int, mode: Literal["zeros", "replicate"], bias: float, dead: list[int]
) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=padding, padding_mode=mode)
    )
    nn.init.constant_(cast("Tensor", model[0].bias), bias)
    kept = torch.ones(2, 1, 3, 3, dtype=torch.bool)
    kept[1] = False
    masks = rpt.Masks({"0.weight": kept})
    assert rpt.dead_units(model, masks)["0"].tolist() == dead
    both = torch.ones(2, 2, 3, 3, dtype=torch.bool)
    both[:, 1] = False  # nothing of what it gives is kept
    assert rpt.dead_units(model, rpt.Masks({"0.weight": kept, "2.weight": both}))["0"].tolist() == [1]


def test_the_smaller_model_holds_the_masks_and_trains() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(9, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))
    rpt.prune(model, 0.95, scope="global")
    masks = rpt.held_masks(model)
    small = rpt.remove_dead_units(model)
    report = rpt.report(small)
    assert report.num_kept <= masks.num_kept
    assert report.size < rpt.report(model).size
    assert (report.leaks, report.zeros) == ({}, {})
    optimizer = torch.optim.AdamW(small.parameters(), 0.1)
    for _ in range(3):
        small(torch.randn(8, 9)).square().mean().backward()
        optimizer.step()
    assert rpt.report(small).leaks == {}
    assert rpt.held_masks(model) == masks


def test_pruned_biases_and_zeros_count() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Identity(), nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
        model.get_parameter("0.weight")[1:] = 0.0
    masks = rpt.Masks({"0.bias": torch.tensor([True, False, True])})
    rpt.hold(model, masks)
    assert rpt.dead_units(model)["0"].tolist() == [1, 2]
    small = rpt.remove_dead_units(model)
    assert small.get_parameter("2.bias").tolist() == [1.0]
    assert torch.equal(small(torch.ones(2)), model(torch.ones(2)))
    assert rpt.held_masks(small)["0.bias"].tolist() == [True]


def hooked() -> nn.Sequential:
    model = mlp()
    model[0].register_forward_pre_hook(lambda *_: None)
    return model


def shared() -> nn.Sequential:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer)


def tied() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    return model


def between(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), *modules, nn.Linear(4, 4))


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "no stack": (nn.Linear(2, 2), "model must be an nn.Sequential, got Linear"),
    "no layer": (nn.Sequential(nn.ReLU()), "model: expected a linear layer or convolution, got none"),
    "hook": (hooked(), "0: expected a module without hooks"),
    "shared": (shared(), "2: expected a layer that is used once, got one that is used twice"),
    "tied": (tied(), "2: expected a layer that is used once, got one that is used twice"),
    "groups": (
        nn.Sequential(nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(2, 2, 3)),
        "0: expected a convolution of one",
    ),
    "layer norm": (
        between(nn.LayerNorm(4)),
        "1: expected what treats the 4 units of 0 one by one, got LayerNorm",
    ),
    "softmax": (between(nn.Softmax(-1)), "1: expected what treats the 4 units"),
    "attention": (between(nn.ReLU(), nn.MultiheadAttention(4, 1)), "2: expected what treats the 4 units"),
    "prelu": (between(nn.PReLU(4)), "1: expected what treats the 4 units"),
    "pooled": (between(nn.MaxPool1d(1)), "1: expected what treats the 4 units"),
    "no statistics": (between(nn.BatchNorm1d(4, track_running_stats=False)), "1: expected what treats the 4"),
    "flattened": (
        nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), nn.BatchNorm1d(9), nn.Linear(9, 2)),
        "2: expected what treats the 3 units of 0 one by one",
    ),
    "flatten": (
        nn.Sequential(nn.Conv1d(2, 3, 3), nn.Linear(9, 2)),
        "1: expected a layer for the 3 units of 0",
    ),
    "width": (nn.Sequential(nn.Linear(2, 3), nn.Linear(9, 2)), "1: expected a layer for the 3 units of 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_to_be_exact_is_refused_by_name(case: str) -> None:
    model, message = REFUSED[case]
    for ask in (rpt.dead_units, rpt.remove_dead_units):
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            cast("Callable[[nn.Module], Any]", ask)(model)


def test_masks_of_norms_between_layers_are_refused() -> None:
    masks = rpt.Masks({"4.weight": torch.ones(7, dtype=torch.bool)})
    with pytest.raises(ValueError, match="expected no mask between layers, got one"):
        rpt.remove_dead_units(mlp(), masks)
