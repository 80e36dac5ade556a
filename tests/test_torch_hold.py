"""Masks that are held while a model trains."""

import copy
import gc
import pickle
import re
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import cast

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import rustprune.torch as rpt
from held import revived

OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(
        parameters, 0.05, momentum=0.9, nesterov=True, weight_decay=1e-2
    ),
    "adam": lambda parameters: torch.optim.Adam(parameters, 1e-2, weight_decay=1e-2),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 1e-2, weight_decay=1e-1, amsgrad=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, 1e-2, momentum=0.9),
}


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 20) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        inputs = torch.randn(16, 20, generator=generator)
        model(inputs).square().mean().backward()
        optimizer.step()


def revived_state(optimizer: torch.optim.Optimizer, model: nn.Module, masks: rpt.Masks) -> int:
    count = 0
    for name, mask in masks.items():
        state = optimizer.state[model.get_parameter(name)]
        moments = [value for value in state.values() if isinstance(value, torch.Tensor) and value.ndim]
        assert moments
        count += sum(int((moment[~mask] != 0).sum()) for moment in moments)
    return count


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_pruned_weights_and_their_state_are_exactly_zero_after_200_steps(kind: str) -> None:
    model = mlp()
    optimizer = OPTIMIZERS[kind](model.parameters())
    train(model, optimizer)  # moments are there before the masks are
    rpt.prune(model, 0.7, scope="global", optimizer=optimizer)
    masks = rpt.masks(model, 0.7, scope="global")
    train(model, optimizer, 200)
    assert revived(model, masks) == 0
    assert revived_state(optimizer, model, masks) == 0
    assert all((model.get_parameter(name)[mask] != 0).any() for name, mask in masks.items())


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_of_no_optimizer_in_particular_every_one_that_moves_them_is_held(kind: str) -> None:
    model = mlp()
    optimizer = OPTIMIZERS[kind](model.parameters())
    train(model, optimizer)  # moments are there before the masks are
    rpt.prune(model, 0.7, scope="global")
    masks = rpt.held_masks(model)
    other = torch.optim.SGD(model[4].parameters(), 0.1, momentum=0.9)
    for one in (optimizer, other, optimizer):
        train(model, one)
        assert revived(model, masks) == 0
    assert revived_state(optimizer, model, masks) == 0
    rpt.prune(model, 0.9, scope="global")  # other masks: the state is zero where these prune too
    masks = rpt.held_masks(model)
    train(model, optimizer, 1)
    assert revived(model, masks) == 0
    assert revived_state(optimizer, model, masks) == 0
    rpt.finalize(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert revived(model, masks) > 0


def test_masks_that_change_clear_the_state_of_any_optimizer() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    hold = rpt.hold(model, rpt.masks(model, 0.2))
    train(model, optimizer, 3)
    hold.update(rpt.masks(model, 0.8))
    train(model, optimizer, 1)
    assert revived(model, hold.masks) == revived_state(optimizer, model, hold.masks) == 0


def test_held_for_any_optimizer_masks_and_models_are_freed() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    rpt.prune(model, 0.5)
    train(model, optimizer, 1)
    watched = weakref.ref(model)
    del model, optimizer
    gc.collect()
    assert watched() is None


def test_of_no_optimizer_at_all_masks_are_applied_when_asked() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    hold = rpt.hold(model, rpt.masks(model, 0.5), ())
    train(model, optimizer, 1)
    assert revived(model, hold.masks) > 0
    assert sum(rpt.report(model).leaks.values()) == revived(model, hold.masks)
    hold.apply_()
    assert revived(model, hold.masks) == 0


def test_without_holding_momentum_revives_them() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    train(model, optimizer)
    masks = rpt.masks(model, 0.7)
    rpt.apply_(model, masks)
    train(model, optimizer)
    assert revived(model, masks) > 0


@pytest.mark.parametrize("clipped", [False, True])
def test_kept_weights_train_as_if_pruned_ones_were_not_there(*, clipped: bool) -> None:
    model = nn.Linear(4, 1, bias=False)
    masks = rpt.Masks({"weight": torch.tensor([[True, False, True, False]])})
    small = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        small.weight.copy_(model.weight[:, [0, 2]])
    inputs = torch.randn(50, 8, 4)
    for held, one, columns in ((masks, model, [0, 1, 2, 3]), (None, small, [0, 2])):
        optimizer = torch.optim.SGD(one.parameters(), 1e-2, momentum=0.9, weight_decay=0.1)
        if held is not None:
            rpt.hold(one, held, optimizer)
        for batch in inputs:
            optimizer.zero_grad()
            one(batch[:, columns]).square().mean().backward()
            if clipped:
                nn.utils.clip_grad_norm_(one.parameters(), 0.01)
            optimizer.step()
    assert torch.allclose(model.weight[:, [0, 2]], small.weight, rtol=1e-5)


def unmasked(model: nn.Module, masks: rpt.Masks) -> int:
    """Return how many gradients of pruned weights are not zero."""
    found = 0
    for name, mask in masks.items():
        gradient = model.get_parameter(name).grad
        assert gradient is not None
        assert (gradient[mask] != 0).any()
        found += int((gradient[~mask] != 0).sum())
    return found


def test_gradients_are_masked_when_a_backward_pass_ends() -> None:
    model, inputs = mlp(), torch.randn(8, 20)
    masks = rpt.masks(model, 0.5)
    plain = copy.deepcopy(model)
    rpt.apply_(plain, masks)
    with rpt.hold(model, masks):
        for _ in range(2):  # gradients are accumulated
            for one in (model, plain):
                one(inputs).square().mean().backward()
            assert unmasked(model, masks) == 0
        for name, mask in masks.items():
            expected = plain.get_parameter(name).grad
            assert expected is not None
            assert torch.equal(model.get_parameter(name).grad, expected * mask)  # type: ignore[arg-type]
    model(inputs).square().mean().backward()
    assert unmasked(model, masks) > 0


def test_gradients_that_are_masked_are_not_masked_again_by_the_step() -> None:
    model = nn.Linear(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    rpt.prune(model, 0.5, optimizer=optimizer)
    model(torch.ones(8)).sum().backward()
    gradient = model.weight.grad
    assert gradient is not None
    changes = gradient._version
    optimizer.step()
    assert gradient._version == changes
    gradient.mul_(2)
    optimizer.step()
    assert gradient._version == changes + 2


def test_gradients_are_masked_within_another_pass_and_after_one_that_failed() -> None:
    model, inputs = mlp(), torch.randn(8, 20, requires_grad=True)
    masks = rpt.masks(model, 0.5)
    rpt.hold(model, masks)

    def fail(_: torch.Tensor) -> None:
        raise RuntimeError("no gradient")

    handle = model.get_parameter("0.weight").register_hook(fail)
    with pytest.raises(RuntimeError, match="no gradient"):
        model(inputs).square().mean().backward()
    handle.remove()
    model.zero_grad()
    checkpoint(model, inputs, use_reentrant=True).square().mean().backward()
    assert unmasked(model, masks) == 0


def test_gradients_that_are_written_before_the_step_are_masked_at_it() -> None:
    for change in ("replaced", "changed", "taken back"):
        model = mlp()
        masks = rpt.masks(model, 0.5)
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        rpt.hold(model, masks, optimizer)
        for _ in range(2):
            model(torch.randn(8, 20)).square().mean().backward()
            for name in masks:
                weight = model.get_parameter(name)
                gradient, noise = weight.grad, torch.randn_like(weight)
                assert gradient is not None
                match change:
                    case "replaced":
                        weight.grad = noise
                    case "changed":
                        gradient.add_(noise)
                    case _:
                        weight.grad = noise
                        weight.grad = gradient.add_(1)
            optimizer.step()
            assert unmasked(model, masks) == 0
        assert revived_state(optimizer, model, masks) == 0


def test_gradients_with_a_graph_of_their_own_are_left_until_the_step() -> None:
    model = mlp()
    masks = rpt.masks(model, 0.5)
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    rpt.hold(model, masks, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that such gradients may leak
        model(torch.randn(8, 20)).square().mean().backward(create_graph=True)
    gradients = [one.grad for one in model.parameters() if one.grad is not None]
    torch.stack([one.square().sum() for one in gradients]).sum().backward()
    optimizer.step()
    assert revived(model, masks) == 0


def test_nan_gradients_do_not_reach_pruned_weights() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    masks = rpt.masks(model, 0.5)
    with rpt.hold(model, masks, optimizer):
        model.weight.grad = torch.full_like(model.weight, torch.nan)
        optimizer.step()
    assert revived(model, masks) == 0


def test_a_block_releases_the_masks_at_its_end() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    masks = rpt.masks(model, 0.5)
    with rpt.hold(model, masks, optimizer) as hold:
        assert rpt.is_pruned(model)
        assert hold.masks == masks
        train(model, optimizer)
        assert revived(model, masks) == 0
    assert not rpt.is_pruned(model)
    train(model, optimizer)
    assert revived(model, masks) > 0


def test_pruning_again_keeps_what_is_pruned_and_counts_it() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    rpt.prune(model, 0.3, scope="global", optimizer=optimizer)
    first = rpt.masks(model, 0.3, scope="global")
    train(model, optimizer)
    assert rpt.prune(model, 0.6, scope="global", optimizer=optimizer).num_kept == 393 - 236
    second = rpt.masks(model, 0.6, scope="global")
    assert (first & second) == second
    assert rpt.masks(model, 0.3, scope="global", regrow=True).num_pruned == 118
    with pytest.raises(ValueError, match="at least"):
        rpt.masks(model, 0.3, scope="global")


def test_targets_that_are_not_asked_for_again_are_held_on() -> None:
    model = mlp()
    rpt.prune(model, 0.5, targets=["0"])
    report = rpt.prune(model, 0.5, targets=["4"])
    assert [(target.name, target.num_kept) for target in report.targets] == [
        ("0.weight", 120),
        ("4.weight", 23),
    ]


def test_finalize_leaves_an_ordinary_model() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    rpt.prune(model, 0.5, optimizer=optimizer)
    masks = rpt.masks(model, 0.5)
    assert rpt.finalize(model).num_kept == masks.num_kept
    assert not rpt.is_pruned(model)
    assert revived(model, masks) == 0
    with pytest.raises(ValueError, match="expected one that holds masks"):
        rpt.finalize(model)


def test_nothing_is_added_to_the_model() -> None:
    model = mlp()
    keys, kinds = list(model.state_dict()), [type(one) for one in model.parameters()]
    rpt.prune(model, 0.5, optimizer=OPTIMIZERS["adam"](model.parameters()))
    assert list(model.state_dict()) == keys
    assert [type(one) for one in model.parameters()] == kinds
    assert all(one.is_leaf for one in model.parameters())
    assert not model[0]._forward_pre_hooks
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not rpt.is_pruned(twin)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    fresh = mlp()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(torch.ones(20)), model(torch.ones(20)))


def test_a_model_and_its_masks_are_freed() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    rpt.prune(model, 0.5, optimizer=optimizer)
    watched = weakref.ref(model)
    del model, optimizer
    gc.collect()
    assert watched() is None


def test_only_what_an_optimizer_moves_is_masked_by_its_steps() -> None:
    model = mlp()
    one = torch.optim.SGD(model[0].parameters(), 0.1, momentum=0.9)
    two = torch.optim.Adam(model[2].parameters(), 0.1)
    masks = rpt.masks(model, 0.5)
    rpt.hold(model, masks, [one, two])
    for _ in range(10):
        for optimizer in (one, two):
            optimizer.zero_grad()
            model(torch.randn(8, 20)).square().mean().backward()
            optimizer.step()
    assert revived(model, masks) == 0


def test_gradient_accumulation_and_frozen_parameters() -> None:
    model = mlp()
    model[2].requires_grad_(False)
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    masks = rpt.masks(model, 0.5)
    with rpt.hold(model, masks, optimizer):
        for step in range(12):
            model(torch.randn(8, 20)).square().mean().backward()
            if step % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
        assert revived(model, masks) == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_train_with_masks(dtype: torch.dtype) -> None:
    model = mlp().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    masks = rpt.masks(model, 0.5)
    with rpt.hold(model, masks, optimizer):
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.randn(8, 20, dtype=dtype)).square().mean().backward()
            optimizer.step()
    assert revived(model, masks) == 0


def test_channels_last_weights_are_masked_in_logical_order() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(8, 4, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    masks = rpt.masks(model, 0.5)
    with rpt.hold(model, masks, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(2, 8, 5, 5)).square().mean().backward()
            optimizer.step()
        assert model.weight.is_contiguous(memory_format=torch.channels_last)
        assert revived(model, masks) == 0


@pytest.mark.parametrize("kind", ["lstm", "attention", "tied"])
def test_recurrent_attention_and_tied_models_train_with_masks(kind: str) -> None:
    torch.manual_seed(0)
    model: nn.Module
    if kind == "lstm":
        model, targets = nn.LSTM(6, 5, num_layers=2), ["LSTM"]
    elif kind == "attention":
        model, targets = nn.MultiheadAttention(6, 2), []
    else:
        model, targets = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6)), []
        model[2].weight = model[0].weight
    keys = list(model.state_dict())
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    rpt.prune(model, 0.5, targets=targets, optimizer=optimizer)
    masks = rpt.masks(model, 0.5, targets=targets)
    for _ in range(5):
        optimizer.zero_grad()
        inputs = torch.randn(7, 3, 6)
        outputs = model(inputs, inputs, inputs) if kind == "attention" else model(inputs)
        (outputs if kind == "tied" else outputs[0]).square().mean().backward()
        optimizer.step()
    assert revived(model, masks) == 0
    assert list(model.state_dict()) == keys
    copy.deepcopy(model)


def test_a_backward_pass_that_is_compiled_too_leaves_gradients_to_the_step() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    rpt.prune(model, 0.5, optimizer=optimizer)
    masks = rpt.held_masks(model)

    @torch.compile(backend="eager")
    def backward(inputs: torch.Tensor) -> None:
        model(inputs).square().mean().backward()

    with torch._dynamo.config.patch(compiled_autograd=True):
        for _ in range(3):
            optimizer.zero_grad()
            backward(torch.randn(8, 20))
            optimizer.step()
    assert revived(model, masks) == 0
    assert revived_state(optimizer, model, masks) == 0


def test_a_compiled_model_trains_with_masks() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    rpt.prune(model, 0.5, optimizer=optimizer)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    train(cast("nn.Module", compiled), optimizer)
    assert revived(model, rpt.masks(model, 0.5)) == 0


def test_a_step_that_a_gradient_scaler_skips_changes_nothing() -> None:
    model = mlp()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    rpt.prune(model, 0.5, optimizer=optimizer)
    masks = rpt.masks(model, 0.5)
    before = copy.deepcopy(model.state_dict())
    for bad in (True, False):
        optimizer.zero_grad()
        loss = model(torch.randn(8, 20)).square().mean()
        scaler.scale(loss * torch.inf if bad else loss).backward()
        scaler.step(optimizer)
        scaler.update()
        same = all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert same is bad
    assert revived(model, masks) == 0


def test_an_averaged_copy_gets_the_masks() -> None:
    model = mlp()
    averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=averaging)
    average.update_parameters(model)
    optimizer = OPTIMIZERS["adam"](model.parameters())
    rpt.prune(model, 0.5, optimizer=optimizer)
    masks = rpt.masks(model, 0.5)
    for _ in range(3):
        train(model, optimizer, 1)
        average.update_parameters(model)
    assert revived(average.module, masks) > 0
    rpt.apply_(average.module, masks)
    assert revived(average.module, masks) == 0


def test_masks_that_do_not_fit_change_nothing() -> None:
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    ones = torch.ones(3, dtype=torch.bool)
    for masks, message in [
        (rpt.Masks({"9.weight": ones}), "9.weight: expected a parameter of the model, got none of that name"),
        (rpt.Masks({"0.weight": ones}), "expected the names and shapes of the parameters"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            rpt.hold(model, masks)
    with pytest.raises(
        ValueError, match=re.escape("0.weight: expected a parameter of shape (3,), got (12, 20)")
    ):
        rpt.apply_(model, rpt.Masks({"0.weight": ones}))
    with pytest.raises(ValueError, match="masks must be given for a model that holds none"):
        rpt.hold(model)
    with pytest.raises(TypeError, match=re.escape("optimizer must be a torch.optim.Optimizer, got int")):
        rpt.hold(model, rpt.masks(model, 0.5), [3])  # type: ignore[list-item]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not rpt.is_pruned(model)
