"""Exact pruning masks over huge weight arrays.

A mask is Boolean and shaped like the weights; True means kept. A `ratio` is the fraction of entries to prune.

Selection
    `mask`, by magnitude or at random; `select`, by scores of your own; `prune_`, zeros in place and no mask;
    `num_pruned`, how many entries a ratio prunes; `NofM`, a pattern; `Summary`, what was pruned.
Masks
    `random_mask`, of a shape; `apply_`, zeros in place; `pack` and `unpack`, 8 entries to a byte.
Allocation
    `allocate`, one ratio divided over layers; `ratio_for_compression`, from a model's size to a ratio.
Schedules
    `OneShot`, `Iterative`, `Linear`, `Cubic` and `Exponential`: the ratio as a function of the step.
Checkpoints
    `prune_checkpoint` and `inspect_checkpoint`: safetensors files and Hugging Face directories, streamed.
Bounds
    `bounds`: how far a pruned network can be from the original, a priori and for given weights.
Threads
    `set_num_threads` and `get_num_threads`.

The answer to a request is unique: of equal scores the lowest index is kept first, and neither the number of
threads nor the instruction set changes a bit of it.
"""

from rustprune import bounds as bounds
from rustprune._allocate import allocate as allocate
from rustprune._allocate import ratio_for_compression as ratio_for_compression
from rustprune._checkpoint import inspect_checkpoint as inspect_checkpoint
from rustprune._checkpoint import prune_checkpoint as prune_checkpoint
from rustprune._masks import pack as pack
from rustprune._masks import unpack as unpack
from rustprune._prune import Summary as Summary
from rustprune._prune import apply_ as apply_
from rustprune._prune import prune_ as prune_
from rustprune._request import NofM as NofM
from rustprune._rustprune import __version__ as __version__
from rustprune._sample import random_mask as random_mask
from rustprune._schedule import Cubic as Cubic
from rustprune._schedule import Exponential as Exponential
from rustprune._schedule import Iterative as Iterative
from rustprune._schedule import Linear as Linear
from rustprune._schedule import OneShot as OneShot
from rustprune._select import mask as mask
from rustprune._select import num_pruned as num_pruned
from rustprune._select import select as select
from rustprune._threads import get_num_threads as get_num_threads
from rustprune._threads import set_num_threads as set_num_threads
