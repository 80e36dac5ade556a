"""``rustprune bound`` and ``allocate``: tables, files and errors; ``certify`` has its own elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import rustprune
from rustprune import bounds
from rustprune.cli import commands

DIGITS = Path(rustprune.__file__).parent / "data" / "digits.safetensors"


def run(*arguments: object) -> Result:
    """Run ``rustprune bound`` in this process."""
    return command("bound", *arguments)


def command(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


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


def test_a_checkpoint_is_pruned_within_a_margin_and_certified_to_be(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    result = command("allocate", DIGITS, "--epsilon", 20, "--radius", 2, "--output", out, "--json")
    facts = json.loads(result.stdout)
    found = bounds.certify_checkpoint(DIGITS, out, radius=2)
    removed = {tensor.name: tensor.num_removed for tensor in found.tensors}
    assert removed == {layer["name"]: layer["num_pruned"] for layer in facts["layers"]}
    assert sum(removed.values()) > 10_000
    assert found.certificate is not None
    assert found.certificate.epsilon.value == pytest.approx(facts["certificate"]["epsilon"]["value"])
    assert found.certificate.epsilon.value <= 20
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    again = command("allocate", DIGITS, "--epsilon", 20, "--output", out)
    assert again.exit_code == 1
    assert "exists" in again.stderr


def test_a_margin_of_nothing_prunes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    lines = command("allocate", DIGITS, "--epsilon", 0, "--output", out).stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["fc1.weight", "0"],
        ["fc2.weight", "0"],
        ["fc3.weight", "0"],
        ["all", "0"],
    ]
    assert out.read_bytes() == DIGITS.read_bytes()


def test_progress_of_an_allocation_ends_where_it_said() -> None:
    told: list[tuple[int, int]] = []
    weights = [np.array([[1.0, 0.5], [0.25, 2.0]])]
    bounds.allocate_certified(weights, epsilon=0.6, progress=lambda done, of: told.append((done, of)))
    assert [done for done, _ in told] == [*range(1, len(told) + 1)]
    assert len({of for _, of in told}) == 1
    assert told[-1][0] <= told[-1][1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--epsilon", "1"], 2, "expected either SRC or --sizes, got neither"),
        ([DIGITS, "--sizes", "8,4", "--epsilon", "1"], 2, "expected either SRC or --sizes, got both"),
        ([DIGITS, "--epsilon", "1", "--method", "random"], 2, "--method is for a call without SRC"),
        ([DIGITS, "--epsilon", "1", "--layer", "0"], 2, "--layer is for a call without SRC"),
        (["--sizes", "8,4", "--epsilon", "1", "--output", "x"], 2, "--output is for a call with SRC"),
        (["missing.safetensors", "--epsilon", "1"], 1, "missing.safetensors"),
    ],
)
def test_what_is_wrong_with_an_allocation_is_told(arguments: list[object], code: int, message: str) -> None:
    result = command("allocate", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
