"""Lottery tickets: counts, what is set back, and what controls leave behind."""

import itertools
import re
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import pytest
import torch
from torch import nn

import rustprune.torch as rpt

Train: TypeAlias = Callable[[nn.Module, int, int | None], list[float]]
RATE = {"*": 0.2, "4.weight": 0.1}


def mlp(*sizes: int) -> nn.Sequential:
    torch.manual_seed(0)
    first, second, third, last = sizes
    return nn.Sequential(
        nn.Linear(first, second), nn.ReLU(), nn.Linear(second, third), nn.ReLU(), nn.Linear(third, last)
    )


def trainer(optimizer: torch.optim.Optimizer, seen: list[float] | None = None) -> Train:
    def train(model: nn.Module, start: int, stop: int | None) -> list[float]:
        losses = []
        for _ in range(start, 6 if stop is None else stop):
            inputs = torch.randn(16, 8)
            if seen is not None:
                seen.append(float(inputs.sum()))
            optimizer.zero_grad()
            loss = (model(inputs) - inputs[:, :3].sin()).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses

    return train


def noting(kept: list[tuple[int, ...]], train: Train) -> Train:
    def noted(model: nn.Module, start: int, stop: int | None) -> list[float]:
        kept.append(tuple(target.num_kept for target in rpt.report(model).targets))
        return train(model, start, stop)

    return noted


@pytest.mark.parametrize(
    ("sizes", "published", "kept"),
    [
        ((784, 300, 100, 10), {3: 51.3, 7: 21.1, 12: 7.0, 15: 3.6, 18: 1.9}, (8275, 1056, 206)),
        ((64, 300, 100, 10), {3: 51.631, 7: 21.504, 12: 7.299, 15: 3.861}, (676, 1056, 206)),
    ],
)
def test_the_published_densities_follow_from_the_counts(
    sizes: tuple[int, ...], published: dict[int, float], kept: tuple[int, ...]
) -> None:
    model = mlp(*sizes)
    levels = list(
        rpt.iterate(
            model,
            rounds=max(published),
            rate=RATE,
            train=lambda *_: None,
            optimizer=torch.optim.SGD(model.parameters(), 0.1),
        )
    )
    digits = 1 if sizes[0] == 784 else 3
    for level, density in published.items():
        masks = levels[level].masks
        assert round(100 * masks.num_kept / masks.num_entries, digits) == density
    assert tuple(levels[15].masks.kept_counts().values()) == kept
    for one, other in itertools.pairwise(levels):
        assert (one.masks & other.masks) == other.masks


@pytest.mark.parametrize("rewind", ["init", 2])
def test_kept_weights_go_back_bit_for_bit(rewind: Literal["init"] | int) -> None:
    model = mlp(8, 12, 9, 3)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    starts: list[dict[str, torch.Tensor]] = []
    inner = trainer(optimizer)

    def train(model: nn.Module, start: int, stop: int | None) -> list[float]:
        if stop is None:
            assert start == (0 if rewind == "init" else rewind)
            starts.append({name: value.detach().clone() for name, value in model.named_parameters()})
        return inner(model, start, stop)

    levels = list(rpt.iterate(model, rounds=3, rate=0.4, train=train, optimizer=optimizer, rewind=rewind))
    for level, start in zip(levels, starts, strict=True):
        for name, value in start.items():
            expected = starts[0][name]
            if name in level.masks:
                expected = expected * level.masks[name]
            assert torch.equal(value, expected)


def test_levels_see_the_same_data_with_fresh_optimizers_and_schedules() -> None:
    model = mlp(8, 12, 9, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    seen: list[float] = []
    inner = trainer(optimizer, seen)
    rates = []

    def train(model: nn.Module, start: int, stop: int | None) -> None:
        rates.append((optimizer.param_groups[0]["lr"], len(optimizer.state), schedule.last_epoch))
        inner(model, start, stop)
        for _ in range(4):
            schedule.step()

    list(rpt.iterate(model, rounds=2, rate=0.5, train=train, optimizer=optimizer, stateful=[schedule]))
    assert rates == [(0.1, 0, 0)] * 3
    assert seen[:6] == seen[6:12] == seen[12:]


def test_controls_have_the_same_counts_and_leave_no_trace() -> None:
    outcomes = []
    for controls in ((), ("reinit", "random_mask", "one_shot")):
        model = mlp(8, 12, 9, 3)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        kept: list[tuple[int, ...]] = []
        inner = noting(kept, trainer(optimizer))
        levels = list(
            rpt.iterate(model, rounds=2, rate=0.5, train=inner, optimizer=optimizer, controls=controls)
        )
        outcomes.append((levels, {name: value.clone() for name, value in model.state_dict().items()}))
        if controls:
            assert kept[1:5] == [kept[1]] * 4
            assert kept[5:] == [kept[5]] * 4
            for level in levels[1:]:
                assert list(level.controls) == ["reinit", "random_mask", "one_shot"]
                assert len({tuple(losses) for losses in (level.result, *level.controls.values())}) >= 3
    (plain, weights), (controlled, others) = outcomes
    assert [level.result for level in plain] == [level.result for level in controlled]
    assert [level.masks for level in plain] == [level.masks for level in controlled]
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_batch_statistics_are_set_back() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    inner = trainer(optimizer)
    means = []

    def train(model: nn.Module, start: int, stop: int | None) -> None:
        means.append(model.get_buffer("1.running_mean").clone())
        inner(model, start, stop)

    list(rpt.iterate(model, rounds=1, rate=0.5, train=train, optimizer=optimizer))
    assert (means[1] == 0).all()


def test_bad_requests_are_refused_before_training() -> None:
    model = mlp(8, 12, 9, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def train(*_: object) -> None:
        raise AssertionError

    requests: list[tuple[dict[str, Any], str]] = [
        ({"rate": 1.5}, "ratio must be between 0 and 1, got 1.5"),
        ({"rounds": -1}, "rounds must be in [0, 2**64), got -1"),
        ({"rewind": -1}, "rewind must be in [0, 2**64), got -1"),
        ({"controls": ["luck"]}, "controls must be among reinit, random_mask, one_shot, got 'luck'"),
        ({"targets": ["fc"]}, "none matches 'fc'"),
        ({"rate": {"fc": 0.5}}, "rate: expected the name of a tensor, no name matches 'fc'"),
    ]
    for asked, message in requests:
        request: dict[str, Any] = {"rounds": 1, "rate": 0.5, **asked}
        with pytest.raises(ValueError, match=re.escape(message)):
            rpt.iterate(model, train=train, optimizer=optimizer, **request)
    rpt.prune(model, 0.5)
    with pytest.raises(ValueError, match="expected one that holds no masks"):
        rpt.iterate(model, rounds=1, rate=0.5, train=train, optimizer=optimizer)
    other = nn.ParameterList([nn.Parameter(torch.ones(3, 3))])
    with pytest.raises(ValueError, match="initialize must be given: the model, ParameterList, has no"):
        rpt.iterate(
            other, rounds=1, rate=0.5, train=train, optimizer=optimizer, targets=["0"], controls=["reinit"]
        )
