"""Masks on torch models: choose them, hold them while the model trains, and say what they do.

    import rustprune.torch as rpt
    report = rpt.prune(model, 0.9, scope="global", optimizer=optimizer)  # masks are held from here on
    train(model)
    rpt.finalize(model)

Masks
    `prune`, choose, apply and hold; its parts: `targets`, which parameters; `masks`, which of their entries;
    `apply_`, zeros once; `hold`, zeros while a model trains; `finalize`; `is_pruned`; `held_masks`.
    `Masks`, a bit per weight, saved and loaded; `Targets` and `Target`; `Hold`.
Schedules
    `Pruner`, one call for each optimizer step; `Schedule`, what it needs of one.
Lottery tickets
    `iterate`, train, prune and rewind, level by level, with controls: `Level`.
Reports
    `report`, what is pruned of a model: `Report` and `TargetReport`.
Neurons
    `dead_units`, those that pruning left without inputs or outputs; `remove_dead_units`, a smaller model.
Migration
    `compat`, the names of ``torch.nn.utils.prune``; `import_torch_pruned`, masks out of what it saved.

Trainers
    `rustprune.torch.huggingface`, `rustprune.torch.lightning`: a ``PruningCallback`` each, imported by name.

Weights may lie on several devices, and be sharded over processes by FSDP2: all processes call the same then.

A weight stays an ordinary parameter under its own name: nothing is added to the model, so that copies,
pickles, state dicts, tied weights and compiled models are what they were.
"""

from rustprune.torch import compat as compat
from rustprune.torch._account import report as report
from rustprune.torch._cleanup import dead_units as dead_units
from rustprune.torch._cleanup import remove_dead_units as remove_dead_units
from rustprune.torch._convert import import_torch_pruned as import_torch_pruned
from rustprune.torch._hold import Hold as Hold
from rustprune.torch._hold import held_masks as held_masks
from rustprune.torch._hold import hold as hold
from rustprune.torch._lottery import Level as Level
from rustprune.torch._lottery import iterate as iterate
from rustprune.torch._masks import Masks as Masks
from rustprune.torch._prune import apply_ as apply_
from rustprune.torch._prune import finalize as finalize
from rustprune.torch._prune import is_pruned as is_pruned
from rustprune.torch._prune import masks as masks
from rustprune.torch._prune import prune as prune
from rustprune.torch._pruner import Pruner as Pruner
from rustprune.torch._pruner import Schedule as Schedule
from rustprune.torch._report import Report as Report
from rustprune.torch._report import TargetReport as TargetReport
from rustprune.torch._targets import Target as Target
from rustprune.torch._targets import Targets as Targets
from rustprune.torch._targets import targets as targets
