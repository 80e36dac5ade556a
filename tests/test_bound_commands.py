"""``rustprune bound``: tables, files and errors; ``certify`` and ``allocate`` have theirs elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rustprune import bounds
from rustprune.cli import commands


def run(*arguments: object) -> Result:
    """Run ``rustprune bound`` in this process."""
    return CliRunner().invoke(commands, ["bound", *(str(argument) for argument in arguments)])


def test_the_table_has_a_row_per_ratio_and_says_what_is_assumed() -> None:
    lines = run("--sizes", "16,32,4", "--ratio", "0.5", "--ratio", "0:0.2:3").stdout.splitlines()
    assert lines[0].split() == ["ratio", "random", "magnitude"]
    assert [line.split()[0] for line in lines[1:5]] == ["0.5", "0", "0.1", "0.2"]
    assert "independent" in "".join(lines[5:])


def test_numbers_are_those_of_the_function() -> None:
    options = ["--weights", "normal:std=0.1", "--activation", "tanh", "--method", "magnitude", "--layer", "0"]
    numbers = ["--ratio", "0.5", "--delta", "0.01", "--radius", "2", "--inputs", "5"]
    facts = json.loads(run("--sizes", "16,32,4", *options, *numbers, "--json").stdout)
    net = bounds.Network.mlp([16, 32, 4], weights=bounds.Normal(std=0.1), activation="tanh", pruned=[0])
    found = bounds.estimate(net, 0.5, delta=0.01, radius=2, inputs=5)
    assert [row["epsilon"] for row in facts["bounds"]] == [found.epsilon.item()]


def test_files_are_written_and_not_overwritten(tmp_path: Path) -> None:
    files = ["--csv", tmp_path / "bounds.csv", "--plot", tmp_path / "bounds.png"]
    assert run("--sizes", "8,4", "--quiet", *files).stdout == ""
    assert len((tmp_path / "bounds.csv").read_text().splitlines()) == 41
    assert (tmp_path / "bounds.png").read_bytes().startswith(b"\x89PNG")
    again = run("--sizes", "8,4", *files)
    assert again.exit_code == 1
    assert "exists" in again.stderr
    assert run("--sizes", "8,4", "--force", *files).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--sizes", "8"], 2, "two widths or more"),
        (["--sizes", "8,x"], 2, "two widths or more"),
        (["--sizes", "8,4", "--weights", "cauchy:scale=1"], 2, "a law such as"),
        (["--sizes", "8,4", "--weights", "uniform:k=-1"], 2, "k must be positive"),
        (["--sizes", "8,4", "--ratio", "0:1"], 2, "first:last:count"),
        (["--sizes", "8,4", "--ratio", "1.5"], 1, "ratio"),
        (["--sizes", "8,4", "--delta", "0"], 1, "delta"),
        (["--sizes", "8,4,2", "--activation", "sine"], 1, "activation must be one of"),
        (["--sizes", "8,4", "--layer", "1"], 1, "pruned must be positions below 1"),
    ],
)
def test_what_is_wrong_is_told(arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
