"""The command line: what is printed where, exit codes, and what goes through to the work."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import rustprune
from checkpoints import Tensor, minilm, normal, num_zeros, packed, sharded, unpacked
from rustprune.cli import commands

HEAD = [
    "dtype",
    "entries",
    "zeros",
    "1:4",
    "2:4",
    "4:8",
    "min",
    "1%",
    "10%",
    "50%",
    "90%",
    "99%",
    "max",
    "tensor",
]


def run(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Return a checkpoint of two targets and a bias."""
    path = tmp_path / "in.safetensors"
    tensors = {"a.weight": normal(0, 8, 8), "b.weight": normal(1, 4, 8), "b.bias": normal(2, 4)}
    path.write_bytes(packed(tensors, {"format": "pt"}))
    return path


def zeros(path: Path) -> dict[str, int]:
    return {name: num_zeros(tensor) for name, tensor in unpacked(path.read_bytes())[1].items()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--ratio=0.25"], (16, 8)),
        (["--count=5"], (5, 5)),
        (["--count=2", "--scope=row"], (16, 8)),
        (["--pattern=1:4"], (48, 24)),
        (["--ratio=0.5", "--targets=a.*"], (32, 0)),
        (["--ratio=0.5", "--ignore=re:a"], (0, 16)),
        (["--ratio=0.5", "--method=random", "--seed=3", "--threads=1"], (32, 16)),
    ],
)
def test_options_reach_the_work(
    options: list[str], expected: tuple[int, int], src: Path, tmp_path: Path
) -> None:
    result = run("prune", src, tmp_path / "out.safetensors", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert zeros(tmp_path / "out.safetensors") == dict(
        zip(["a.weight", "b.weight", "b.bias"], (*expected, 0), strict=True)
    )


def test_the_threads_are_set(src: Path) -> None:
    assert run("prune", src, "--dry-run", "--ratio=0.5", "--threads=3").exit_code == 0
    assert rustprune.get_num_threads() == 3


def test_a_table_shows_counts_and_thresholds(src: Path, tmp_path: Path) -> None:
    result = run("prune", src, tmp_path / "out.safetensors", "--ratio=0.25")
    head, first, second, total = result.stdout.splitlines()
    assert head.split() == ["entries", "pruned", "sparsity", "threshold", "tensor"]
    assert first.split()[:3] == ["64", "16", "25.0000%"]
    assert first.endswith("a.weight")
    assert second.split()[-1] == "b.weight"
    assert total.split() == ["96", "24", "25.0000%", "2", "tensors"]


def test_json_holds_the_whole_report(src: Path, tmp_path: Path) -> None:
    result = run("prune", src, tmp_path / "out.safetensors", "--ratio=0.5", "--scope=global", "--json")
    report = json.loads(result.stdout)
    assert set(report) == {"tensors", "skipped", "warnings", "total"}
    assert [tensor["name"] for tensor in report["tensors"]] == ["a.weight", "b.weight"]
    assert report["tensors"][0]["shape"] == [8, 8]
    assert report["total"]["num_requested"] == report["total"]["num_pruned"] == 48
    assert report["total"]["sparsity"] == 0.5
    assert report["tensors"][0]["threshold"] == report["total"]["threshold"]


def test_inspection_as_json_lists_every_tensor(src: Path) -> None:
    report = json.loads(run("inspect", src, "--json").stdout)
    assert [tensor["name"] for tensor in report["tensors"]] == ["a.weight", "b.bias", "b.weight"]
    assert report["tensors"][0]["statistics"]["n_of_m"] == {"1:4": 0.0, "2:4": 0.0, "4:8": 0.0}
    assert list(report["total"]["magnitude"]) == ["min", "1%", "10%", "50%", "90%", "99%", "max"]
    assert report["total"]["num_entries"] == 100


def test_infinity_and_nothing_are_plain_json(tmp_path: Path) -> None:
    infinite = Tensor("F32", (1,), b"\0\0\x80\x7f")
    (tmp_path / "in.safetensors").write_bytes(packed({"a": infinite, "b": Tensor("I8", (1,), b"a")}))
    report = json.loads(
        run("inspect", tmp_path / "in.safetensors", "--json").stdout, parse_constant=pytest.fail
    )
    assert report["total"]["magnitude"]["max"] == "inf"
    assert report["tensors"][1]["statistics"] is None


def test_inspection_prints_a_row_per_tensor_and_one_of_all() -> None:
    lines = run("inspect", minilm()).stdout.splitlines()
    assert len(lines) == 1 + 104 + 1
    assert len({line.index("  ", 40) > 0 for line in lines}) == 1
    assert lines[0].split() == HEAD
    assert lines[-1].endswith("floating-point tensors together")


def test_a_dry_run_reports_the_same_and_writes_nothing(src: Path, tmp_path: Path) -> None:
    dry = run("prune", src, tmp_path / "out.safetensors", "--ratio=0.5", "--dry-run", "--json")
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]
    assert dry.stdout == run("prune", src, "--ratio=0.5", "--dry-run", "--json").stdout
    assert dry.stdout == run("prune", src, tmp_path / "out.safetensors", "--ratio=0.5", "--json").stdout


def test_quiet_prints_nothing(src: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    src.rename(tmp_path / "in" / "model.safetensors")
    (tmp_path / "in" / "model.bin").touch()
    for options in (
        ["prune", tmp_path / "in", tmp_path / "out", "--ratio=0.5"],
        ["inspect", tmp_path / "in"],
    ):
        assert run(*options, "--quiet").output == ""


def test_warnings_go_to_the_errors(src: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    src.rename(tmp_path / "in" / "model.safetensors")
    (tmp_path / "in" / "model.bin").touch()
    result = run("prune", tmp_path / "in", tmp_path / "out", "--ratio=0.5", "--json")
    assert result.stderr == "rustprune: warning: model.bin: left out, other weights than those pruned\n"
    assert json.loads(result.stdout)["warnings"] == ["model.bin: left out, other weights than those pruned"]


def test_skipped_tensors_are_told_by_reason(tmp_path: Path) -> None:
    tensors = {f"{at}.weight": Tensor("I8", (2, 2), b"abcd") for at in range(3)} | {"weight": normal(0, 2, 2)}
    (tmp_path / "in.safetensors").write_bytes(packed(tensors))
    result = run("prune", tmp_path / "in.safetensors", "--dry-run", "--ratio=0.5")
    assert result.stdout.splitlines()[-1] == (
        "left as they are, dtype I8 is no floating-point format that can be pruned: 0.weight and 2 more"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune", "{}/none", "{}/out", "--ratio=0.5"], "{}/none: no such file or directory"),
        (["inspect", "{}/none"], "{}/none: no such file or directory"),
        (["inspect", "{}"], "{}: expected .safetensors files, got none"),
        (
            ["prune", "{}/bad.safetensors", "{}/out", "--ratio=0.5"],
            "{}/bad.safetensors: expected at least 8 bytes, got 3",
        ),
        (["inspect", "{}/bad.safetensors"], "{}/bad.safetensors: expected at least 8 bytes, got 3"),
        (
            ["prune", "{}/a.txt", "{}/out", "--ratio=0.5"],
            "{}/a.txt: expected a .safetensors file or a directory of them",
        ),
    ],
)
def test_errors_are_one_line_and_exit_code_1(arguments: list[str], message: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    if arguments[1] != "{}":
        (root / "bad.safetensors").write_bytes(b"abc")
        (root / "a.txt").touch()
    result = run(*(argument.format(root) for argument in arguments))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"rustprune: error: {message.format(root)}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune"],
        ["prune", "in.safetensors", "--ratio=0.5"],
        ["prune", "in.safetensors", "out.safetensors", "--ratio=half"],
        ["prune", "in.safetensors", "out.safetensors", "--scope=layer"],
        ["prune", "in.safetensors", "out.safetensors", "--threads=0"],
        ["nonsense"],
        ["inspect"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: ")


def test_in_place_and_an_output_exclude_each_other(src: Path) -> None:
    result = run("prune", src, "out.safetensors", "--in-place", "--ratio=0.5")
    assert result.stderr == "rustprune: error: exactly one of out and in_place must be given, or dry_run\n"
    assert run("prune", src, "--in-place", "--ratio=0.5").exit_code == 0
    assert zeros(src)["a.weight"] == 32


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"rustprune, version {rustprune.__version__}\n"


def test_the_module_is_the_command(src: Path) -> None:
    command = [sys.executable, "-m", "rustprune", "prune", str(src), "--dry-run", "--ratio=0.5", "--json"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stderr == b""
    assert done.stdout.decode() == run("prune", src, "--dry-run", "--ratio=0.5", "--json").stdout


def test_a_bar_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    src = sharded(tmp_path / "in", {"model.safetensors": {"weight": normal(0, 1000, 1000)}})
    terminal, errors = pty.openpty()
    command = [sys.executable, "-m", "rustprune", "inspect", str(src)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, check=True)
    os.close(errors)
    bar = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "inspecting" in bar
    assert "100%" in bar
    assert done.stdout.decode() == run("inspect", src).stdout


def test_a_reader_who_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m rustprune inspect {minilm()} --json | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"{\n", b"")


def test_the_demo_runs_and_its_json_is_its_answer(tmp_path: Path) -> None:
    result = run("demo", tmp_path / "demo", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)
    assert any((tmp_path / "demo").iterdir())
