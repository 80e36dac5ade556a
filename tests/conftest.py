"""What every test file shares: an untouched number of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import rustprune

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _same_number_of_threads_afterwards() -> Iterator[None]:
    threads = rustprune.get_num_threads()
    yield
    rustprune.set_num_threads(threads)
