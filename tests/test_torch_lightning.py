"""Masks that are held in the Trainer of Lightning, and lie in its checkpoints."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, callbacks
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import rustprune as rp
import rustprune.torch as rpt
from held import Steps, revived
from rustprune.torch.lightning import PruningCallback

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
]


class Net(LightningModule):
    """A small network with two optimizers, or with one."""

    def __init__(self, *, manual: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 4))
        self.automatic_optimization = not manual
        self.manual = manual

    def loss(self, batch: list[Tensor]) -> Tensor:
        """Return the mean square of the outputs."""
        outputs: Tensor = self.net(batch[0])
        return outputs.square().mean()

    def training_step(self, batch: list[Tensor], _: int) -> Tensor | None:
        """Return the loss, or take the steps."""
        if not self.manual:
            return self.loss(batch)
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch))
            optimizer.step()
        return None

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """Return one optimizer, or one for each layer."""
        if not self.manual:
            return torch.optim.AdamW(self.parameters(), 0.01, weight_decay=0.1)
        return [
            torch.optim.SGD(layer.parameters(), 0.05, momentum=0.9) for layer in (self.net[0], self.net[2])
        ]


def batches() -> DataLoader[tuple[Tensor, ...]]:
    """Eight times the same batch, since a plain loader does not go on where it stopped."""
    inputs = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).repeat(8, 1)
    return DataLoader(TensorDataset(inputs), batch_size=4)


def trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:  # noqa: ANN401
    return Trainer(
        default_root_dir=folder,
        callbacks=[*callbacks],
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_steps": 8, "enable_checkpointing": False, **options},
    )


class Watch(Callback):
    """What is true after each batch."""

    def __init__(self, pruning: PruningCallback) -> None:
        self.pruning, self.revived, self.batches = pruning, 0, 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Count what should be zero and is not."""
        assert self.pruning.masks is not None
        assert trainer.global_step > 0
        self.batches += 1
        self.revived += revived(pl_module, self.pruning.masks)


@pytest.mark.parametrize("manual", [False, True])
def test_weights_stay_pruned_in_automatic_and_manual_optimization(tmp_path: Path, *, manual: bool) -> None:
    model = Net(manual=manual)
    expected = rpt.masks(model, 0.8, scope="global")
    before = copy.deepcopy(model.state_dict())
    pruning = PruningCallback(0.8, scope="global")
    watch = Watch(pruning)
    trainer(tmp_path, pruning, watch).fit(model, batches())
    assert watch.batches == (4 if manual else 8)  # a step of each optimizer counts
    assert watch.revived == 0
    assert pruning.masks == expected
    assert pruning.report is not None
    assert pruning.report.num_kept == expected.num_kept
    assert not rpt.is_pruned(model)
    assert list(model.state_dict()) == list(before)
    assert all(not torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_gradients_of_pruned_weights_do_not_count_when_others_are_clipped(tmp_path: Path) -> None:
    class Clipped(Net):
        def configure_gradient_clipping(self, *_: object, **__: object) -> None:
            for name, mask in masks.items():
                gradient = self.get_parameter(name).grad
                assert gradient is not None
                assert gradient.count_nonzero() == gradient[mask].count_nonzero() > 0

    model = Clipped()
    masks = rpt.masks(model, 0.8)
    trainer(tmp_path, PruningCallback(masks=masks)).fit(model, batches())


def test_accumulated_gradients_and_a_quick_run_keep_weights_pruned(tmp_path: Path) -> None:
    for options in ({"accumulate_grad_batches": 4, "max_steps": 2}, {"fast_dev_run": True}):
        model, pruning = Net(), PruningCallback(0.5)
        trainer(tmp_path, pruning, **options).fit(model, batches())
        assert pruning.masks is not None
        assert revived(model, pruning.masks) == 0


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before:UserWarning")
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning")
def test_training_that_is_resumed_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    schedule = Steps({0: 0.2, 2: 0.5, 3: 0.7, 6: 0.8})
    path = None
    weights = []
    for _ in range(2):
        model, pruning = Net(), PruningCallback(schedule=schedule, scope="global", finalize=False)
        saving = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=4, save_top_k=-1)
        run = trainer(tmp_path, pruning, saving, enable_checkpointing=True)
        run.fit(model, batches(), ckpt_path=path, weights_only=True)
        path = tmp_path / "step=4.ckpt"
        assert rpt.is_pruned(model)
        assert pruning.masks is not None
        assert pruning.masks.num_pruned == rp.num_pruned(100, 0.8)
        weights.append(copy.deepcopy(model.state_dict()))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    saved = torch.load(tmp_path / "step=4.ckpt", weights_only=True)
    assert list(saved["state_dict"]) == list(weights[0])
    [state] = [state for key, state in saved["callbacks"].items() if "PruningCallback" in key]
    assert sum(bits.numel() for bits in state["bits"].values()) == 8 + 5
    assert sum(int((saved["state_dict"][name] == 0).sum()) for name in state["bits"]) == 70


def test_masks_of_a_file_or_of_the_module_are_held(tmp_path: Path) -> None:
    masks = rpt.masks(Net(), 0.5, method="random", seed=1)
    masks.save(tmp_path / "m")
    held = Net()
    rpt.hold(held, masks)
    for model, pruning in ((Net(), PruningCallback(masks=tmp_path / "m")), (held, PruningCallback())):
        trainer(tmp_path, pruning).fit(model, batches())
        assert pruning.masks == masks
        assert revived(model, masks) == 0


def test_a_compiled_module_keeps_its_names_and_its_zeros(tmp_path: Path) -> None:
    model, pruning = Net(), PruningCallback(0.5, targets=["net.0"])
    compiled: Any = torch.compile(model, backend="eager")
    trainer(tmp_path, pruning).fit(compiled, batches())
    assert pruning.masks is not None
    assert list(pruning.masks) == ["net.0.weight"]
    assert revived(model, pruning.masks) == 0


@pytest.mark.skipif(not hasattr(callbacks, "EMAWeightAveraging"), reason="needs Lightning 2.6")
def test_an_average_that_becomes_the_weights_in_the_end_is_pruned(tmp_path: Path) -> None:
    model, pruning, average = Net(), PruningCallback(0.5), callbacks.EMAWeightAveraging(decay=0.9)
    trainer(tmp_path, average, pruning).fit(model, batches())
    assert pruning.masks is not None
    assert revived(model, pruning.masks) == 0
    assert pruning.report is not None
    assert [target.num_nonzero for target in pruning.report.targets] == [30, 20]


def test_the_callback_is_of_the_lightning_that_is_imported() -> None:
    code = """
import importlib, pytorch_lightning
from rustprune.torch import lightning as module
def bases():
    found = {kind.__module__ for kind in module.PruningCallback.__mro__ if kind.__name__ == "Callback"}
    print(*sorted(name.removesuffix(".callbacks.callback") for name in found if name.endswith(".callback")))
bases()
import lightning.pytorch
importlib.reload(module)
bases()
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert printed.splitlines() == ["pytorch_lightning", "lightning.pytorch pytorch_lightning"]
    assert issubclass(PruningCallback, Callback)
