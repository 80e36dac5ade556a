"""Pruning along a schedule."""

import io
from dataclasses import dataclass

import pytest
import torch
from torch import nn

import rustprune as rp
import rustprune.torch as rpt


@dataclass
class Steps:
    """A ratio for each step at which masks change."""

    ratios: dict[int, float]

    def ratio_at(self, step: int) -> float:
        """Return the ratio of that step."""
        return self.ratios[step]

    def due(self, step: int) -> bool:
        """Return whether there is one."""
        return step in self.ratios


def train(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.randn(8, 20)).square().mean().backward()
    optimizer.step()


def setting() -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(20, 10)
    return model, torch.optim.Adam(model.parameters(), 1e-2)


def test_masks_change_where_they_are_due_and_are_nested() -> None:
    model, optimizer = setting()
    pruner = rpt.Pruner(model, Steps({0: 0.1, 2: 0.25, 5: 0.8}), optimizer=optimizer, scope="global")
    kept, changed = [rpt.report(model).num_kept], []
    previous = rpt.hold(model, optimizer=optimizer).masks
    for step in range(1, 7):
        train(model, optimizer)
        report = pruner.step()
        if report is not None:
            changed.append(step)
            kept.append(report.num_kept)
            masks = rpt.masks(model, rate=0.0, scope="global")
            assert (masks & previous) == masks
            previous = masks
        assert int((model.weight != 0).sum()) == kept[-1]
    assert (changed, kept) == ([2, 5], [180, 150, 40])
    assert pruner.num_steps == 6


def test_a_run_that_was_saved_goes_on_as_if_it_had_not_stopped() -> None:
    schedule = Steps({1: 0.3, 3: 0.6, 4: 0.7})
    outcomes = []
    for stop in (None, 2):
        model, optimizer = setting()
        pruner = rpt.Pruner(model, schedule, optimizer=optimizer)
        for step in range(5):
            if step == stop:
                saved = io.BytesIO()
                torch.save([model.state_dict(), optimizer.state_dict(), pruner.state_dict()], saved)
                random = torch.get_rng_state()
                saved.seek(0)
                states = torch.load(saved)
                model, optimizer = setting()
                pruner = rpt.Pruner(model, schedule, optimizer=optimizer)
                model.load_state_dict(states[0])
                optimizer.load_state_dict(states[1])
                pruner.load_state_dict(states[2])
                torch.set_rng_state(random)
                assert pruner.num_steps == stop
            train(model, optimizer)
            pruner.step()
        outcomes.append(model.weight.detach().clone())
    assert torch.equal(*outcomes)
    assert int((outcomes[0] != 0).sum()) == 60


def test_a_schedule_that_asks_for_less_is_refused() -> None:
    model, optimizer = setting()
    pruner = rpt.Pruner(model, Steps({0: 0.5, 1: 0.2}), optimizer=optimizer)
    with pytest.raises(ValueError, match="at least"):
        pruner.step()
    assert rpt.report(model).num_kept == 100


def test_rounds_prune_what_is_kept() -> None:
    model, optimizer = setting()
    pruner = rpt.Pruner(model, rp.Iterative(rounds=3, rate=0.3, begin=1), optimizer=optimizer)
    kept = []
    for _ in range(5):
        report = pruner.step()
        kept += [] if report is None else [report.num_kept]
    assert kept == [140, 98, 69]
