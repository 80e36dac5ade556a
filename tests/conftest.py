"""What every test file shares: an untouched number of threads, and no limit to the time of one example."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import settings

import rustprune

if TYPE_CHECKING:
    from collections.abc import Iterator


if not torch.cuda.is_available():
    # Triton reads it when it is first imported, by whichever test: then its kernels are interpreted.
    os.environ["TRITON_INTERPRET"] = "1"

# A busy machine, or the first call of a pool, is no defect.
settings.register_profile("rustprune", deadline=None)
settings.load_profile("rustprune")


@pytest.fixture(autouse=True)
def _same_number_of_threads_afterwards() -> Iterator[None]:
    threads = rustprune.get_num_threads()
    yield
    rustprune.set_num_threads(threads)
