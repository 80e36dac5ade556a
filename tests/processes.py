"""Several processes on this machine that talk to each other."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

import rustprune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this build of torch has no gloo"
)


def together(case: Callable[[Path], None], folder: Path, processes: int = 2) -> None:
    """Run a case in several processes; an error in one is an error here."""
    # Forked from one that has the slow imports behind it, and no threads yet.
    multiprocessing.set_forkserver_preload(["torch.distributed.fsdp", "rustprune.torch"])
    start_processes(_enter, (case, folder, processes), nprocs=processes, start_method="forkserver")


def _enter(rank: int, case: Callable[[Path], None], folder: Path, processes: int) -> None:
    # What launchers set, and trainers look for.
    size, address = str(processes), {"MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= address
    torch.set_num_threads(1)
    rustprune.set_num_threads(1)
    place = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=place, rank=rank, world_size=processes)
    try:
        case(folder)
    finally:
        dist.destroy_process_group()
