"""The examples in docstrings are true, and there are some."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import rustprune

MODULES = [module.name for module in pkgutil.iter_modules(rustprune.__path__, "rustprune.") if not module.ispkg]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_function_has_an_example() -> None:
    functions = [getattr(rustprune, name) for name in rustprune.__all__ if name[0].islower()]
    assert functions
    assert [function.__name__ for function in functions if ">>> " not in (function.__doc__ or "")] == []
