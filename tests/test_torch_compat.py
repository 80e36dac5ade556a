"""The names of ``torch.nn.utils.prune``: its counts and errors, on parameters that stay what they are."""

import copy
import pickle
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeAlias, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as theirs

import rustprune.torch as rpt
from rustprune.torch import compat

Call: TypeAlias = Callable[[ModuleType, nn.Module], object]


def layer() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(4, 6, 3)


def kept_by_torch(module: nn.Module) -> Tensor:
    return cast("Tensor", module.weight_mask).bool()


def kept(module: nn.Module, name: str = "weight") -> Tensor:
    return rpt.held_masks(module)[name]


@pytest.mark.parametrize(
    "amounts", [(0.5,), (0.25, 0.25), (7, 0.1), (0.3, 5, 0.5), (0.0,), (1.0,), (0,), (0.125, 0.0, 1.0)]
)
def test_entries_of_distinct_weights_are_those_of_torch(amounts: tuple[float, ...]) -> None:
    ours, other, chance, their_chance = (layer() for _ in range(4))
    for amount in amounts:
        compat.l1_unstructured(ours, "weight", amount=amount)
        theirs.l1_unstructured(other, "weight", amount=amount)
        compat.random_unstructured(chance, "weight", amount=amount)
        theirs.random_unstructured(their_chance, "weight", amount=amount)
    assert torch.equal(kept(ours), kept_by_torch(other))
    assert torch.equal(ours.weight != 0, kept(ours))
    assert kept(chance).sum() == kept_by_torch(their_chance).sum()


@pytest.mark.parametrize("n", [1, 2, float("inf"), -float("inf"), "fro"])
@pytest.mark.parametrize(
    "steps", [((0, 0.5),), ((1, 1), (1, 0.5)), ((-1, 0.34), (0, 2)), ((0, 0.25), (1, 1), (0, 0.5))]
)
def test_channels_of_distinct_norms_are_those_of_torch(
    steps: tuple[tuple[int, float], ...], n: float | str
) -> None:
    ours, other = layer(), layer()
    if n == -float("inf"):
        steps = steps[:1]  # then pruned channels make all norms of the other axis zero
    for dim, amount in steps:
        compat.ln_structured(ours, "weight", amount=amount, n=n, dim=dim)
        theirs.ln_structured(other, "weight", amount=amount, n=n, dim=dim)
    assert torch.equal(kept(ours), kept_by_torch(other))
    assert torch.equal(ours.weight != 0, kept(ours))


@pytest.mark.parametrize("amounts", [(0.5,), (2, 0.5), (1, 1, 1)])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_random_channels_are_as_many_as_those_of_torch(amounts: tuple[float, ...], dim: int) -> None:
    ours, other = layer(), layer()
    for amount in amounts:
        compat.random_structured(ours, "weight", amount=amount, dim=dim)
        theirs.random_structured(other, "weight", amount=amount, dim=dim)
    axes = [axis for axis in range(4) if axis != dim % 4]
    channels = kept(ours).amax(axes)
    assert channels.sum() == kept_by_torch(other).amax(axes).sum()
    assert torch.equal(kept(ours).amin(axes), channels)


def test_random_methods_follow_the_generator_of_torch() -> None:
    masks = []
    for seed in (0, 0, 1):
        module = layer()
        torch.manual_seed(seed)
        compat.random_unstructured(module, "weight", 0.5)
        masks.append(kept(module))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_nuclear_norms_are_those_of_torch() -> None:
    ours, other = nn.Conv1d(4, 6, 3), nn.Conv1d(4, 6, 3)
    other.load_state_dict(ours.state_dict())
    compat.ln_structured(ours, "weight", 0.5, "nuc", 0)
    theirs.ln_structured(other, "weight", 0.5, "nuc", 0)
    assert torch.equal(kept(ours), kept_by_torch(other))
    with pytest.raises(ValueError, match="expected matrices for 'nuc'"):
        compat.ln_structured(nn.Linear(3, 2), "weight", 0.5, "nuc", 0)


def test_scores_of_ones_own_decide() -> None:
    ours, other = layer(), layer()
    scores = torch.randn_like(ours.weight)
    for prune, module in ((compat, ours), (theirs, other)):
        prune.l1_unstructured(module, "weight", 0.25, importance_scores=scores)
        prune.ln_structured(module, "weight", 2, n=2, dim=1, importance_scores=-scores)
    assert torch.equal(kept(ours), kept_by_torch(other))
    with pytest.raises(ValueError, match=r"importance_scores: expected shape \(6, 4, 3, 3\), got \(3,\)"):
        compat.l1_unstructured(layer(), "weight", 0.25, importance_scores=torch.ones(3))


def pair() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 9))


def places(model: nn.Sequential) -> list[tuple[nn.Module, str]]:
    return [(model[0], "weight"), (model[0], "bias"), (model[2], "weight")]


class EverySecond(compat.BasePruningMethod):
    """Prunes every second of the entries that it is shown."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask."""
        mask = default_mask.clone()
        mask.view(-1)[::2] = 0
        assert mask.shape == t.shape
        return mask


class TheirEverySecond(theirs.BasePruningMethod):
    """The same, for torch."""

    PRUNING_TYPE = "unstructured"
    compute_mask = EverySecond.compute_mask


@pytest.mark.parametrize("amounts", [(10,), (0.3,), (0.3, 0.5), (5, 0.9)])
@pytest.mark.parametrize("scored", ["", "0.weight"])
def test_global_masks_are_those_of_torch(amounts: tuple[float, ...], scored: str) -> None:
    ours, other = pair(), pair()
    for prune, model in ((compat, ours), (theirs, other)):
        scores = {(model[0], "weight"): torch.linspace(-1, 1, 240).view(12, 20)} if scored else None
        prune.l1_unstructured(model[2], "weight", 7)
        for amount in amounts:
            prune.global_unstructured(places(model), prune.L1Unstructured, scores, amount=amount)
    for (mine, name), (its, _) in zip(places(ours), places(other), strict=True):
        assert torch.equal(kept(mine, name), getattr(its, f"{name}_mask").bool())


def test_global_random_masks_have_the_count_of_torch() -> None:
    ours, other = pair(), pair()
    for prune, model in ((compat, ours), (theirs, other)):
        for _ in range(2):
            prune.global_unstructured(places(model), prune.RandomUnstructured, amount=0.3)
    zeros = sum(int((one == 0).sum()) for name, one in other.named_buffers() if name.endswith("_mask"))
    assert rpt.held_masks(ours).num_pruned == zeros


def test_methods_of_ones_own_see_what_torch_shows_them() -> None:
    ours, other = pair(), pair()
    for prune, model, method in ((compat, ours, EverySecond), (theirs, other, TheirEverySecond)):
        method.apply(model[0], "weight")
        method.apply(model[0], "weight")
        prune.global_unstructured(places(model), method)
    for (mine, name), (its, _) in zip(places(ours), places(other), strict=True):
        assert torch.equal(kept(mine, name), getattr(its, f"{name}_mask").bool())


def test_global_pruning_takes_an_iterator_and_counts_shared_parameters_once() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    model[2].weight = model[0].weight

    def each() -> Iterator[tuple[nn.Module, str]]:
        yield from ((model[0], "weight"), (model[2], "weight"), (model[2], "bias"))

    compat.global_unstructured(each(), compat.L1Unstructured, amount=0.5)
    assert rpt.held_masks(model).num_pruned == 21


def test_of_equal_weights_of_several_parameters_the_first_are_kept() -> None:
    first, second = nn.Linear(3, 1), nn.Linear(3, 1)
    for module in (first, second):
        nn.init.ones_(module.weight)
    order = [(second, "weight"), (first, "weight"), (second, "weight")]
    compat.global_unstructured(order, compat.L1Unstructured, amount=2)
    assert kept(second).tolist() == [[True, True, True]]
    assert kept(first).tolist() == [[True, False, False]]


def test_equal_weights_are_kept_from_the_first() -> None:
    module = nn.Linear(5, 1)
    nn.init.ones_(module.weight)
    compat.l1_unstructured(module, "weight", 2)
    assert kept(module).tolist() == [[True, True, True, False, False]]


def test_nan_is_kept() -> None:
    module = nn.Linear(4, 1)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, torch.nan, 2.0, torch.inf]]))
    compat.l1_unstructured(module, "weight", 2)
    assert kept(module).tolist() == [[False, True, False, True]]


def test_a_method_says_what_was_put_on_a_parameter() -> None:
    module = layer()
    first = compat.L1Unstructured.apply(module, "weight", 0.25)
    assert isinstance(first, compat.L1Unstructured)
    both = compat.LnStructured.apply(module, "weight", 1, 2, 0)
    assert isinstance(both, compat.PruningContainer)
    assert [type(one) for one in both] == [compat.L1Unstructured, compat.LnStructured]
    assert (len(both), both[0]) == (2, first)
    with pytest.raises(ValueError, match="method: expected one of 'weight', got one of 'bias'"):
        both.add_pruning_method(compat.L1Unstructured.apply(module, "bias", 1))
    with pytest.raises(TypeError, match="method must be a BasePruningMethod, got int"):
        both.add_pruning_method(cast("Any", 3))
    assert torch.equal(both.apply_mask(module), module.weight)
    both.remove(module)
    assert list(rpt.held_masks(module)) == ["bias"]
    with pytest.raises(ValueError, match="expected a pruned parameter 'weight', got none"):
        both.remove(module)


def test_a_method_prunes_tensors_of_no_module() -> None:
    values = torch.tensor([3.0, -1, 2, -4])
    assert compat.L1Unstructured(2).prune(values).tolist() == [3, 0, 0, -4]
    assert compat.L1Unstructured(2).prune(values, torch.tensor([0, 1, 1, 1])).tolist() == [0, 0, 0, -4]
    assert compat.L1Unstructured(2).prune(values, importance_scores=-values.flip(0)).tolist() == [3, 0, 0, -4]
    container = compat.PruningContainer(compat.L1Unstructured(1))
    flags = torch.tensor([0.0, 1, 1, 1])
    assert container.compute_mask(values, flags).tolist() == [0, 0, 1, 1]


def test_masks_are_held_by_the_steps_of_any_optimizer_until_they_are_removed() -> None:
    model = pair()
    keys = list(model.state_dict())
    compat.global_unstructured(places(model), compat.L1Unstructured, amount=0.5)
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    masks = rpt.held_masks(model)

    def step() -> int:
        model(torch.randn(8, 20)).square().mean().backward()
        optimizer.step()
        return sum(int((model.get_parameter(name)[~mask] != 0).sum()) for name, mask in masks.items())

    assert [step() for _ in range(5)] == [0] * 5
    assert list(model.state_dict()) == keys
    weight = model.get_parameter("0.weight")
    assert weight.is_leaf
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not compat.is_pruned(twin)
        assert torch.equal(twin.get_parameter("0.weight"), weight)
    assert compat.is_pruned(model)
    before = weight.detach().clone()
    for module, name in places(model):
        assert compat.remove(module, name) is module
    assert not compat.is_pruned(model)
    assert torch.equal(weight, before)
    assert step() > 0


def test_pruning_composes_with_masks_that_are_held_by_other_means() -> None:
    model = pair()
    rpt.prune(model, 0.5)
    compat.l1_unstructured(model[0], "weight", 0.5)
    assert rpt.held_masks(model).kept_counts() == {"0.weight": 60, "2.weight": 54}
    assert rpt.finalize(model).num_kept == 60 + 54
    compat.identity(model[0], "weight")
    assert rpt.held_masks(model).kept_counts() == {"0.weight": 240}


def test_masks_of_ones_own() -> None:
    ours = nn.Linear(5, 3)
    mask = torch.tensor([0, 1, 0])
    assert compat.custom_from_mask(ours, "bias", mask) is ours
    assert kept(ours, "bias").tolist() == [False, True, False]
    compat.custom_from_mask(ours, "bias", torch.tensor([True, True, False]))
    assert kept(ours, "bias").tolist() == [False, True, False]
    for bad, message in (
        (torch.ones(2), "expected a mask of shape"),
        (torch.full((3,), 0.5), "expected a mask of 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            compat.custom_from_mask(ours, "bias", bad)
    assert list(rpt.held_masks(ours)) == ["bias"]


ERRORS: dict[str, tuple[type[Exception], Call]] = {
    "no number": (TypeError, lambda prune, module: prune.l1_unstructured(module, "weight", "half")),
    "no amount": (TypeError, lambda prune, module: prune.random_unstructured(module, "weight", None)),
    "over one": (ValueError, lambda prune, module: prune.l1_unstructured(module, "weight", 1.1)),
    "negative": (ValueError, lambda prune, module: prune.random_unstructured(module, "weight", -1)),
    "not a number": (ValueError, lambda prune, module: prune.l1_unstructured(module, "weight", -0.1)),
    "too many": (ValueError, lambda prune, module: prune.l1_unstructured(module, "weight", 217)),
    "channels": (ValueError, lambda prune, module: prune.random_structured(module, "weight", 7, 0)),
    "vector": (ValueError, lambda prune, module: prune.ln_structured(module, "bias", 1, 2, 0)),
    "dim": (IndexError, lambda prune, module: prune.ln_structured(module, "weight", 1, 2, 4)),
    "negative dim": (IndexError, lambda prune, module: prune.random_structured(module, "weight", 1, -5)),
    "name": (AttributeError, lambda prune, module: prune.l1_unstructured(module, "wait", 1)),
    "remove": (ValueError, lambda prune, module: prune.remove(module, "weight")),
    "iterable": (TypeError, lambda prune, _: prune.global_unstructured(3, prune.L1Unstructured, amount=1)),
    "scores": (
        TypeError,
        lambda prune, module: prune.global_unstructured(
            [(module, "weight")], prune.L1Unstructured, [1], amount=1
        ),
    ),
    "type": (
        TypeError,
        lambda prune, module: prune.global_unstructured(
            [(module, "weight")], prune.LnStructured, amount=1, n=2
        ),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_of_the_types_of_torch(case: str) -> None:
    error, call = ERRORS[case]
    for prune in (compat, theirs):
        module = layer()
        before = {name: value.clone() for name, value in module.state_dict().items()}
        with pytest.raises(error):
            call(prune, module)
        assert not prune.is_pruned(module)
        assert {*module.state_dict()} == {*before}
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_every_public_name_of_torch_is_there() -> None:
    public = {
        name for name, value in vars(theirs).items() if getattr(value, "__module__", "") == theirs.__name__
    }
    assert {name for name in public if not name.startswith("_")} <= {*dir(compat)}


def test_recurrent_layers_and_attention_are_pruned_and_run() -> None:
    lstm = compat.l1_unstructured(nn.LSTM(4, 3), "weight_hh_l0", 0.5)
    assert lstm(torch.zeros(2, 1, 4))[0].shape == (2, 1, 3)
    attention = compat.ln_structured(nn.MultiheadAttention(8, 2), "in_proj_weight", 0.5, 2, 1)
    inputs = torch.zeros(2, 1, 8)
    assert attention(inputs, inputs, inputs)[0].shape == (2, 1, 8)
    assert compat.is_pruned(nn.ModuleList([lstm]))
