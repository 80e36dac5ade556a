"""What every test file shares: an untouched number of threads, and no limit to the time of one example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import rustprune

if TYPE_CHECKING:
    from collections.abc import Iterator


# A busy machine, or the first call of a pool, is no defect.
settings.register_profile("rustprune", deadline=None)
settings.load_profile("rustprune")


@pytest.fixture(autouse=True)
def _same_number_of_threads_afterwards() -> Iterator[None]:
    threads = rustprune.get_num_threads()
    yield
    rustprune.set_num_threads(threads)
