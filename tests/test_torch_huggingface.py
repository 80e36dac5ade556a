"""Masks that are held in the Trainer of Hugging Face, and lie beside its checkpoints."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

import rustprune as rp
import rustprune.torch as rpt
from held import Steps, revived
from processes import needs_gloo, together
from rustprune.torch.huggingface import PruningCallback

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def bert() -> BertForSequenceClassification:
    set_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=30,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=12,
        )
    )


def examples() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(1, 30, (32, 8), generator=generator)
    return [{"input_ids": row, "labels": row[0] % 2} for row in rows]


def trainer(
    model: nn.Module,
    folder: Path,
    *callbacks: TrainerCallback,
    steps: int = 4,
    **options: Any,  # noqa: ANN401
) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=4,
        learning_rate=0.01,
        weight_decay=0.1,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        **{"save_strategy": "no", "logging_strategy": "no", **options},
    )
    return Trainer(model, arguments, train_dataset=examples(), callbacks=[*callbacks])


class Watch(TrainerCallback):
    """What is true around each optimizer step."""

    def __init__(self, pruning: PruningCallback) -> None:
        self.pruning, self.revived, self.gradients, self.steps = pruning, 0, 0, 0

    def on_optimizer_step(self, *_: object, **found: Any) -> None:  # noqa: ANN401
        """Count what should be zero and is not."""
        masks = self.pruning.masks
        assert masks is not None
        self.steps += 1
        self.revived += revived(found["model"], masks)
        for name, mask in masks.items():
            gradient = found["model"].get_parameter(name).grad
            self.gradients += int((gradient[~mask] != 0).sum())


def test_weights_stay_pruned_through_steps_that_accumulate_gradients(tmp_path: Path) -> None:
    model = bert()
    expected = rpt.masks(model, 0.8, scope="global", ignore=["classifier"])
    pruning = PruningCallback(0.8, scope="global", ignore=["classifier"])
    watch = Watch(pruning)
    before = copy.deepcopy(model.state_dict())
    trainer(model, tmp_path, pruning, watch, gradient_accumulation_steps=2).train()
    assert (watch.steps, watch.revived, watch.gradients) == (4, 0, 0)
    assert pruning.masks == expected
    assert pruning.report is not None
    assert pruning.report.num_kept == expected.num_kept
    assert all(target.num_nonzero == target.num_kept for target in pruning.report.targets)
    assert not rpt.is_pruned(model)
    assert list(model.state_dict()) == list(before)
    assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())


class Norm(TrainerCallback):
    """What norm gradients have where weights are kept, once they are clipped."""

    found = 0.0

    def on_pre_optimizer_step(self, *_: object, **given: Any) -> None:  # noqa: ANN401
        """Take the norm."""
        held = rpt.held_masks(given["model"])
        parts = [
            one.grad[held[name]] if name in held else one.grad
            for name, one in given["model"].named_parameters()
        ]
        self.found = float(torch.cat([part.flatten() for part in parts]).norm())


def test_gradients_of_pruned_weights_do_not_count_when_others_are_clipped(tmp_path: Path) -> None:
    model, norm = bert(), Norm()
    schedule = Steps({0: 0.5, 1: 0.8})
    trainer(model, tmp_path, PruningCallback(schedule=schedule), norm, max_grad_norm=1e-3).train()
    assert norm.found == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("by", ["user", "trainer"])
def test_a_compiled_model_keeps_its_names_and_its_zeros(tmp_path: Path, by: str) -> None:
    model, pruning = bert(), PruningCallback(0.5, ignore=["classifier"])
    given: Any = torch.compile(model, backend="eager") if by == "user" else model
    options: dict[str, Any] = {"remove_unused_columns": False}
    if by == "trainer":
        options |= {"torch_compile": True, "torch_compile_backend": "eager"}
    trainer(given, tmp_path, pruning, steps=2, **options).train()
    assert pruning.masks == rpt.masks(bert(), 0.5, ignore=["classifier"])
    assert revived(model, pruning.masks) == 0


def test_a_checkpoint_is_an_ordinary_one_with_zeros_and_its_masks(tmp_path: Path) -> None:
    pruning = PruningCallback(0.6)
    trainer(bert(), tmp_path, pruning, save_strategy="steps", save_steps=2).train()
    folder = tmp_path / "checkpoint-2"
    masks = rpt.Masks.load(folder / "model.mask.safetensors")
    assert masks == pruning.masks
    loaded = BertForSequenceClassification.from_pretrained(folder)
    saved = load_file(folder / "model.safetensors")
    assert {*saved} == {*loaded.state_dict()}
    assert all(torch.equal(saved[name], value) for name, value in loaded.state_dict().items())
    assert revived(loaded, masks) == 0
    assert all(
        int((loaded.get_parameter(name) != 0).sum()) == kept for name, kept in masks.kept_counts().items()
    )


def test_training_that_is_resumed_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    schedule = Steps({0: 0.2, 2: 0.5, 3: 0.7, 4: 0.8})
    weights = []
    for stops in (False, True):
        folder = tmp_path / str(stops)
        options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "steps": 4}
        if stops:
            (tmp_path / "False" / "checkpoint-2").rename(tmp_path / "elsewhere")
        pruning = PruningCallback(schedule=schedule, scope="global", finalize=False)
        model = bert()
        run = trainer(model, folder, pruning, resume_from_checkpoint=str(tmp_path / "elsewhere"), **options)
        run.train(resume_from_checkpoint=str(tmp_path / "elsewhere") if stops else None)
        masks = pruning.masks
        assert masks is not None
        assert masks.num_pruned == rp.num_pruned(masks.num_entries, 0.8)
        weights.append(copy.deepcopy(model.state_dict()))
        assert rpt.is_pruned(model)
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    sides = sorted(path.parent.name for path in tmp_path.rglob("model.mask.safetensors"))
    assert sides == ["checkpoint-4", "checkpoint-4", "elsewhere"]


def test_resuming_without_masks_is_an_error(tmp_path: Path) -> None:
    trainer(bert(), tmp_path, save_strategy="steps", save_steps=2, steps=2).train()
    again = trainer(bert(), tmp_path, PruningCallback(0.5))
    with pytest.raises(ValueError, match=re.escape("expected the masks of step 2 to resume from")):
        again.train(resume_from_checkpoint=True)


def test_masks_of_a_file_or_of_the_model_are_held(tmp_path: Path) -> None:
    masks = rpt.masks(bert(), 0.5, method="random", seed=1)
    masks.save(tmp_path / "m")
    held = bert()
    rpt.hold(held, masks)
    for model, pruning in ((bert(), PruningCallback(masks=tmp_path / "m")), (held, PruningCallback())):
        trainer(model, tmp_path, pruning).train()
        assert pruning.masks == masks
        assert revived(model, masks) == 0
    with pytest.raises(ValueError, match="masks must be given for a model that holds none"):
        trainer(bert(), tmp_path, PruningCallback()).train()


class Skips(TrainerCallback):
    """Makes the gradients of the second step infinite, and counts the steps that change nothing."""

    def __init__(self) -> None:
        self.skipped = self.steps = 0
        self.before: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, *_: object, **found: Any) -> None:  # noqa: ANN401
        """Remember the weights."""
        self.before = copy.deepcopy(found["model"].state_dict())

    def on_optimizer_step(self, *_: object, **found: Any) -> None:  # noqa: ANN401
        """Compare them, and see to the gradients of the next step, before its backward pass."""
        after = found["model"].state_dict()
        self.skipped += all(torch.equal(value, after[name]) for name, value in self.before.items())
        if not self.steps:
            weight = found["model"].classifier.weight
            self.handle = weight.register_hook(lambda gradient: gradient * torch.inf)
        elif self.steps == 1:
            self.handle.remove()
        self.steps += 1


def test_a_half_precision_step_that_is_skipped_changes_nothing(tmp_path: Path) -> None:
    model, pruning, skips = bert(), PruningCallback(0.5), Skips()
    run = trainer(model, tmp_path, pruning, skips)
    run.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    run.train()
    assert skips.skipped == 1
    assert pruning.masks is not None
    assert revived(model, pruning.masks) == 0


def _of_two(folder: Path) -> None:
    import torch.distributed as dist

    model, pruning = bert(), PruningCallback(masks=folder / "m")
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "ddp_backend": "gloo"}
    run = trainer(model, folder, pruning, steps=2, **options)
    assert run.args.world_size == 2
    run.train()
    assert isinstance(run.model_wrapped, torch.nn.parallel.DistributedDataParallel)
    assert pruning.masks == rpt.Masks.load(folder / "m")
    assert revived(model, pruning.masks) == 0
    for parameter in model.parameters():
        others = [torch.empty_like(parameter) for _ in range(2)]
        dist.all_gather(others, parameter.detach())
        assert torch.equal(others[0], others[1])


@needs_gloo
def test_processes_hold_the_masks_of_a_file_and_write_them_once(tmp_path: Path) -> None:
    masks = rpt.masks(bert(), 0.7, scope="global")
    masks.save(tmp_path / "m")
    together(_of_two, tmp_path)
    assert rpt.Masks.load(tmp_path / "checkpoint-2" / "model.mask.safetensors") == masks


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"ratio": 0.5, "masks": rpt.Masks({})}, "masks must be given alone"),
        ({"masks": rpt.Masks({}), "scope": "global"}, "masks must be given alone"),
        ({"ratio": 0.5, "schedule": Steps({})}, "ratio must be left out with a schedule"),
        ({"count": 5, "pattern": "2:4", "schedule": Steps({})}, "count and pattern must be left out with"),
    ],
)
def test_two_ways_at_once_are_an_error(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PruningCallback(**asked)
