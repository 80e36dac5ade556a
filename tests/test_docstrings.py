"""The examples in docstrings are true, and there are some."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import FunctionType

import pytest

import rustprune

ALL = [module.name for module in pkgutil.walk_packages(rustprune.__path__, "rustprune.")]
MODULES = [name for name in ALL if not name.endswith("__main__")]  # which is the command line itself


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_function_has_an_example() -> None:
    functions = [value for value in vars(rustprune).values() if isinstance(value, FunctionType)]
    assert len(functions) > 8
    assert [function.__name__ for function in functions if ">>> " not in (function.__doc__ or "")] == []
