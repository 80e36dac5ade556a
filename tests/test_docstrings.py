"""The examples in docstrings are true, and there are some."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pathlib
import pkgutil

import pytest

import rustprune
import rustprune.bounds

MODULES = [module.name for module in pkgutil.walk_packages(rustprune.__path__, "rustprune.")]
MODULES.remove("rustprune.__main__")  # importing it runs the command
FUNCTIONS = [
    function
    for module in (rustprune, rustprune.bounds)
    for _, function in inspect.getmembers(module, inspect.isfunction)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_of_the_documentation_print_what_they_say() -> None:
    path = pathlib.Path(__file__).parents[1] / "docs" / "bounds.md"
    found = doctest.testfile(str(path), module_relative=False)
    assert found.attempted > 4
    assert found.failed == 0


def test_every_public_function_has_an_example_and_says_what_it_takes_and_gives() -> None:
    assert len(FUNCTIONS) > 25
    for function in FUNCTIONS:
        doc = inspect.getdoc(function) or ""
        sections = ["Examples\n--------\n>>> "]
        sections += ["Parameters\n----------\n"] if inspect.signature(function).parameters else []
        sections += [] if function.__name__ in ("apply_", "set_num_threads") else ["Returns\n-------\n"]
        assert [section for section in sections if section not in doc] == [], function.__name__


def test_every_parameter_is_documented() -> None:
    for function in FUNCTIONS:
        documented = (inspect.getdoc(function) or "").partition("Returns\n")[0]
        missing = [name for name in inspect.signature(function).parameters if name not in documented]
        assert missing == [], function.__name__
