"""Checkpoints in safetensors files: pruned and inspected without ever being whole in memory.

Work
    `prune_checkpoint`, `inspect_checkpoint`.
Reports
    `PruneReport` of `PrunedTensor`; `InspectReport` of `InspectedTensor` with `Statistics`; `Skipped`, a
    tensor left as it is, and why.
Rooms
    `files`, what a checkpoint consists of; `targets`, which tensors are pruned; `output`, where results go.
"""

from rustprune._checkpoint.inspect import InspectedTensor as InspectedTensor
from rustprune._checkpoint.inspect import InspectReport as InspectReport
from rustprune._checkpoint.inspect import Statistics as Statistics
from rustprune._checkpoint.inspect import inspect_checkpoint as inspect_checkpoint
from rustprune._checkpoint.prune import prune_checkpoint as prune_checkpoint
from rustprune._checkpoint.report import PrunedTensor as PrunedTensor
from rustprune._checkpoint.report import PruneReport as PruneReport
from rustprune._checkpoint.targets import Skipped as Skipped
