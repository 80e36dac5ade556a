"""README and the torch page: Python runs, its commands are the ones that are checked, its options exist."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest

from rustprune import cli

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str, page: str = README) -> list[str]:
    """Return the fenced code of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python") + blocks("python", (ROOT / "docs/torch.md").read_text()))
def test_every_example_runs(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {})


def test_the_commands_are_two_and_checked_as_they_stand() -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 2
    functions = re.search(r"^readme\(\) \{.*?^\}$", (ROOT / ".ci/run").read_text(), re.MULTILINE | re.DOTALL)
    assert functions
    script = f"{functions[0]}; readme 'rustprune demo'; readme pytest"
    found = subprocess.run(["bash", "-ec", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert found.stdout.splitlines() == commands


def test_every_option_in_the_table_exists() -> None:
    named = set(re.findall(r"--[a-z][a-z-]*", README.split("## Command line")[1].split("## ")[0]))
    assert len(named) > 8
    params = [param for command in cli.commands.commands.values() for param in command.params]
    assert named <= {option for param in params for option in param.opts}
