"""Masks of models: which parameters, which entries, and what is stored of them."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn

import rustprune as rp
import rustprune.torch as rpt
from rustprune._request import Method, Scope

if TYPE_CHECKING:
    from rustprune._allocate import Rule

Array: TypeAlias = np.ndarray[Any, Any]


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5))


def cnn() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(8, 3)
    )


def arrays(model: nn.Module) -> dict[str, Array]:
    return {name: target.parameter.detach().numpy() for name, target in rpt.targets(model).items()}


def agrees(masks: rpt.Masks, expected: dict[str, Array]) -> bool:
    return list(masks) == list(expected) and all(
        np.array_equal(masks[name].numpy(), mask) for name, mask in expected.items()
    )


@pytest.mark.parametrize("make", [mlp, cnn])
@pytest.mark.parametrize("scope", ["row", "tensor", "global"])
@pytest.mark.parametrize("method", ["magnitude", "random"])
def test_masks_of_a_model_are_those_of_its_arrays(
    make: Callable[[], nn.Sequential], scope: Scope, method: Method
) -> None:
    model = make()
    seed = 3 if method == "random" else None
    expected = rp.mask(arrays(model), 0.6, scope=scope, method=method, seed=seed)
    assert agrees(rpt.masks(model, 0.6, scope=scope, method=method, seed=seed), expected)


@pytest.mark.parametrize("scope", ["row", "tensor", "global"])
def test_tensors_by_name_are_all_targets(scope: Scope) -> None:
    tensors = {"a": torch.randn(6, 9), "b.c": torch.randn(30).bfloat16()}
    expected = rp.mask(tensors, 0.6, scope=scope)
    masks = rpt.masks(tensors, 0.6, scope=scope)
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        name: mask.tolist() for name, mask in expected.items()
    }
    rpt.apply_(tensors, masks)
    assert all(torch.equal(tensors[name] != 0, mask) for name, mask in masks.items())
    with pytest.raises(ValueError, match=re.escape("b.c: expected a parameter of shape (30,), got none")):
        rpt.apply_({"a": tensors["a"]}, masks)
    with pytest.raises(ValueError, match="must be left out with a mapping"):
        rpt.masks(tensors, 0.5, ignore=["a"])
    for odd, got in ((torch.ones(3).int(), "torch.int32"), (3, "int")):
        with pytest.raises(TypeError, match=f"x: expected a tensor of float64 .*, got {got}"):
            rpt.masks({"x": odd}, 0.5)  # type: ignore[dict-item]


def test_patterns_run_along_the_input_channels() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(24, 3))
    masks = rpt.masks(model, pattern="2:4")
    found = arrays(model)
    assert np.array_equal(
        masks["0.weight"].numpy(), rp.mask(found["0.weight"], pattern=rp.NofM(2, 4, axis=1))
    )
    assert np.array_equal(masks["2.weight"].numpy(), rp.mask(found["2.weight"], pattern="2:4"))


def test_a_count_is_of_each_target_or_of_all() -> None:
    assert rpt.masks(mlp(), count=7).kept_counts() == {"0.weight": 233, "2.weight": 101, "4.weight": 38}
    assert rpt.masks(mlp(), count=7, scope="global").num_pruned == 7


def test_scores_replace_magnitudes() -> None:
    model = mlp()
    scores = {name: -target.parameter.abs() for name, target in rpt.targets(model).items()}
    expected = rp.select(
        {name: score.detach().numpy() for name, score in scores.items()}, 0.5, scope="global"
    )
    assert agrees(rpt.masks(model, 0.5, scores=scores, scope="global"), expected)
    with pytest.raises(ValueError, match=re.escape("a difference in ['4.weight']")):
        rpt.masks(model, 0.5, scores={name: scores[name] for name in list(scores)[:2]})
    with pytest.raises(
        ValueError, match=re.escape("scores of 0.weight: expected shape (12, 20), got (240,)")
    ):
        rpt.masks(model, 0.5, scores=scores | {"0.weight": scores["0.weight"].reshape(-1)})


def test_ratios_by_name_leave_the_rest_dense() -> None:
    masks = rpt.masks(mlp(), {"*": 0.5, "re:4": 0.2, "2.weight": 0})
    assert masks.kept_counts() == {"0.weight": 120, "2.weight": 108, "4.weight": 36}
    assert rpt.masks(mlp(), {"0.*": 1.0}).num_pruned == 240
    with pytest.raises(ValueError, match="no name matches 'nothing'"):
        rpt.masks(mlp(), {"nothing": 0.5})


def test_an_allocation_divides_one_budget() -> None:
    model = mlp()
    rules: list[tuple[Rule, int]] = [("uniform", 2), ("erdos_renyi_kernel", 2), ("lamp", 0)]
    for rule, floor in rules:
        masks = rpt.masks(model, 0.7, allocation=rule, min_kept=floor)
        counts = rp.allocate(arrays(model), 0.7, rule=rule, min_kept=floor)
        assert masks.num_pruned == rp.num_pruned(393, 0.7)
        for name, weight in arrays(model).items():
            assert np.array_equal(masks[name].numpy(), rp.mask(weight, count=counts[name]))
    with pytest.raises(ValueError, match="allocation must be left out with scope 'global', got 'uniform'"):
        rpt.masks(model, 0.7, allocation="uniform", scope="global")


@given(st.floats(0, 1), st.integers(0, 250) | st.floats(0, 0.9))
def test_floors_are_kept_and_the_total_is_exact(ratio: float, floor: float) -> None:
    model = mlp()
    with torch.no_grad():
        model.get_parameter("2.weight").mul_(1e-3)
        model.get_parameter("4.weight").mul_(1e-2)
    lengths = {"0.weight": 240, "2.weight": 108, "4.weight": 45}
    floors = {
        name: min(length, floor) if isinstance(floor, int) else -int(-floor * length // 1)
        for name, length in lengths.items()
    }
    pruned = rp.num_pruned(393, ratio)
    if pruned > 393 - sum(floors.values()):
        with pytest.raises(ValueError, match="min_kept: expected floors that leave"):
            rpt.masks(model, ratio, scope="global", min_kept=floor)
        return
    masks = rpt.masks(model, ratio, scope="global", min_kept=floor)
    assert masks.num_pruned == pruned
    assert all(masks.kept_counts()[name] >= least for name, least in floors.items())
    for name, kept in masks.kept_counts().items():  # within a target it is still the smallest that go
        weight = model.get_parameter(name).detach().numpy()
        assert np.array_equal(masks[name].numpy(), rp.mask(weight, count=weight.size - kept))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "expected exactly one of ratio, count and rate, got neither"),
        (
            {"ratio": 0.5, "count": 3},
            "expected exactly one of ratio, count and rate, got ratio and count",
        ),
        ({"ratio": 1.5}, "ratio must be between 0 and 1, got 1.5"),
        (
            {"ratio": 0.5, "pattern": "2:4"},
            "pattern must be given without what says how much, got '2:4' and more",
        ),
        ({"ratio": 0.5, "scope": "layer"}, "scope must be row or tensor or global, got 'layer'"),
        ({"rate": 0.5, "scope": "row"}, "rate must be left out with scope 'row', got 0.5"),
        ({"ratio": 0.5, "min_kept": 1}, "min_kept must be left out unless targets share a budget, got 1"),
        ({"ratio": 0.5, "scope": "global", "min_kept": 1.5}, "min_kept must be in [0, 1] or an int, got 1.5"),
        ({"ratio": 0.5, "method": "random"}, "seed"),
        ({"ratio": 0.5, "targets": ["fc"]}, "none matches 'fc'"),
        ({"ratio": 0.5, "targets": ["re:("]}, "targets: expected a regular expression, got 're:('"),
        ({"ratio": 0.5, "ignore": ["*"]}, "expected a parameter to prune, got none"),
        ({"ratio": 0.5, "first": "drop"}, "first must be 'prune' or 'keep', got 'drop'"),
    ],
)
def test_bad_requests_get_one_clear_error(asked: dict[str, Any], message: str) -> None:
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=re.escape(message)):
        rpt.prune(model, **asked)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not rpt.is_pruned(model)


def test_targets_are_weights_of_linear_layers_and_convolutions() -> None:
    assert list(rpt.targets(cnn())) == ["0.weight", "3.weight", "5.weight"]
    assert list(rpt.targets(cnn(), first="keep", classifier="keep")) == ["3.weight"]
    assert list(rpt.targets(cnn(), [nn.Linear, "3"])) == ["3.weight", "5.weight"]
    assert list(rpt.targets(cnn(), ["Conv2d"], ignore=["0.*"])) == ["3.weight"]
    assert list(rpt.targets(cnn(), ["5.bias", "re:3.w"])) == ["3.weight", "5.bias"]


class Language(nn.Module):
    """What language models share and add."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.rnn = nn.LSTM(8, 8)
        self.one = nn.Linear(8, 8)
        self.two = nn.Linear(8, 8)
        self.two.weight = self.one.weight
        self.tied = nn.Linear(8, 11)
        self.tied.weight = self.embed.weight
        self.lm_head = nn.Linear(8, 11)


def test_shared_embedded_and_output_weights_are_told_apart() -> None:
    found = rpt.targets(Language())
    assert list(found) == ["attention.in_proj_weight", "attention.out_proj.weight", "one.weight"]
    assert found["one.weight"].aliases == ("one.weight", "two.weight")
    assert list(rpt.targets(Language(), ["LSTM"])) == ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]


names = st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 5), st.integers(0, 19)), min_size=1)


@given(names, st.integers(0, 9), st.integers(0, 9))
def test_masks_are_a_boolean_algebra(shapes: dict[str, tuple[int, int]], one: int, other: int) -> None:
    torch.manual_seed(one)
    first = {name: torch.rand(shape) < 0.5 for name, shape in shapes.items()}
    torch.manual_seed(other)
    second = {name: torch.rand(shape) < 0.5 for name, shape in shapes.items()}
    a, b = rpt.Masks(first), rpt.Masks(second)
    for masks, expected in [
        (a & b, {name: first[name] & second[name] for name in shapes}),
        (a | b, {name: first[name] | second[name] for name in shapes}),
        (~a, {name: ~first[name] for name in shapes}),
    ]:
        assert masks == rpt.Masks(expected)
        assert agrees(masks, {name: mask.numpy() for name, mask in expected.items()})
        assert masks.num_kept == sum(int(mask.sum()) for mask in expected.values())
        assert masks.num_entries == sum(mask.numel() for mask in expected.values())
    union = (a | b).num_kept
    assert a.overlap(b) == ((a & b).num_kept / union if union else 1.0)


def test_masks_of_other_names_or_shapes_do_not_combine() -> None:
    a = rpt.Masks({"a": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(ValueError, match="expected the same names and shapes"):
        a & rpt.Masks({"b": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(TypeError, match=re.escape("a: expected a mask of torch.bool, got torch.float32")):
        rpt.Masks({"a": torch.ones(3)})


@given(names, st.integers(0, 9))
def test_a_file_gives_the_masks_back(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, tuple[int, int]], seed: int
) -> None:
    torch.manual_seed(seed)
    masks = rpt.Masks({name: torch.rand(*shape, 3) < 0.5 for name, shape in shapes.items()})
    path = tmp_path_factory.mktemp("masks") / "model.mask.safetensors"
    masks.save(path)
    assert rpt.Masks.load(path) == masks
    assert list(path.parent.iterdir()) == [path]


def test_the_file_is_that_of_the_command_line(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    found = arrays(mlp())
    save_file(found, tmp_path / "model.safetensors")
    rp.prune_checkpoint(
        tmp_path / "model.safetensors", tmp_path / "out.safetensors", 0.7, masks=tmp_path / "m"
    )
    ours = rpt.masks(mlp(), 0.7)
    assert rpt.Masks.load(tmp_path / "m") == ours
    ours.save(tmp_path / "n")
    with safe_open(tmp_path / "m", "np") as theirs, safe_open(tmp_path / "n", "np") as mine:
        for name in found:
            assert np.array_equal(theirs.get_tensor(name), mine.get_tensor(name))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    def write(rows: list[list[int]], num_kept: int, mark: str) -> None:
        metadata = {
            "rustprune.format": mark,
            "rustprune.shapes": json.dumps({"a": [1, 3]}),
            "rustprune.num_kept": json.dumps({"a": num_kept}),
        }
        save_file({"a": torch.tensor(rows, dtype=torch.uint8)}, tmp_path / "m", metadata=metadata)

    for rows, num_kept, mark, message in [
        ([[5]], 3, "mask/1", "a: expected 3 entries kept, got 2"),
        ([[13]], 3, "mask/1", "a: expected padding bits of 0, got others"),
        ([[5, 0]], 2, "mask/1", "a: expected uint8 of shape (1, 1), got torch.uint8 (1, 2)"),
        ([[5]], 2, "mask/2", "expected the format 'mask/1', got 'mask/2'"),
    ]:
        write(rows, num_kept, mark)
        with pytest.raises(ValueError, match=re.escape(message)):
            rpt.Masks.load(tmp_path / "m")
    (tmp_path / "m").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="m: "):
        rpt.Masks.load(tmp_path / "m")
