"""The benches: each figure is there and is a number, and no more is asked of the time it took."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

GPU_FIGURES = [
    "copy on the device",
    "magnitude mask to bool on the GPU, share of the floor",
    "magnitude mask to bits on the GPU, share of the floor",
    "magnitude mask to bool, replayed from a graph, share of the floor",
    "with nan='raise', share of the floor",
    "magnitude mask to bool on the GPU, against torch.topk",
    "magnitude mask to bool on the GPU, against torch.kthvalue",
    "bfloat16 mask to bool on the GPU, share of the floor",
    "float8_e4m3fn mask to bool on the GPU, share of the floor",
    "mask of 200 arrays together on the GPU, share of the floor",
    "masks of 200 arrays on the GPU, share of the floor",
    "mask of rows of 4,000 on the GPU, share of the floor",
    "2:4 mask on the GPU, share of the floor",
    "60 % zeros, against random data",
    "a constant, against random data",
    "sorted data, against random data",
    "row-scaled data, against random data",
    "random mask to bits on the GPU, against Bernoulli bytes of torch, of no exact count",
    "zeros under bits, against w.mul_(mask)",
]
BENCHES = Path(__file__).parents[1] / "benches"
FIGURES = {
    "bench_allocate": [
        "LAMP counts, against NumPy sort + cumsum + partition",
        "LAMP counts, against torch sort + cumsum + kthvalue",
    ],
    "bench_bounds": [
        "bounds of magnitude pruning: Theorem 1, ratios",
        "bounds of magnitude pruning: Theorem 2, ratios",
        "bounds of magnitude pruning: Theorem 1, grid",
        "bounds of random pruning: Theorem 1, ratios",
        "bounds of random pruning: Theorem 2, ratios",
        "bounds of random pruning: Theorem 1, grid",
        "Lanczos with delta 1e-9, slack 0.01, against scipy.sparse.linalg.svds, k=1",
        "Lanczos with delta 1e-9, slack 0.01, against torch.linalg.matrix_norm(2)",
    ],
    "bench_checkpoint": [
        "rustprune prune, scope tensor, memory beyond the page cache",
        "rustprune prune, scope global, memory beyond the page cache",
        "rustprune prune, scope tensor, against cp",
        "rustprune prune, scope tensor, against cp and sync",
        "rustprune prune, scope global, against cp",
        "rustprune prune, scope global, against cp and sync",
    ],
    "bench_gpu": GPU_FIGURES if torch.cuda.is_available() else [],
    "bench_import": ["import rustprune, beyond NumPy"],
    "bench_memory": [
        "extra memory of mask to bool",
        "extra memory of mask of row-scaled data",
        "extra memory of mask to bits",
        "extra memory of scope row",
        "extra memory of 2:4 mask",
        "extra memory of prune_",
        "extra memory of prune_, scope global over 200 arrays",
        "extra memory of LAMP counts",
        "extra memory of random mask to bits",
    ],
    "bench_sample": [
        "random mask to bits, against Generator.choice",
        "random mask to bool, against Generator.choice",
        "random mask to bits, against prune.random_unstructured",
        "random mask to bool, against prune.random_unstructured",
        "random 2:4 mask to bool, against torch rand + topk + scatter",
    ],
    "bench_select": [
        "magnitude mask to bool, against NumPy abs + partition + compare",
        "magnitude mask to bool, against NumPy argpartition",
        "magnitude mask to bits, against NumPy abs + partition + compare",
        "mask with scope row, against NumPy abs + partition(axis=1) + compare",
        "prune_ in place, against NumPy abs + partition + compare + multiply",
        "many small arrays in one call, against the loop of NumPy abs + partition + compare",
        "magnitude mask to bool, against torch kthvalue + compare",
        "magnitude mask to bool, against torch topk",
        "magnitude mask to bool, against prune.l1_unstructured",
        "bfloat16 mask to bool, against torch kthvalue + compare",
        "mask with scope global over a mapping, against prune.global_unstructured",
        "2:4 mask to bool, against torch topk + scatter",
        "mask of 60 % zeros, against mask of random data",
        "mask of 100 % zeros, against mask of random data",
        "mask of a constant, against mask of random data",
        "mask of sorted data, against mask of random data",
        "mask of data sorted by magnitude, against mask of random data",
        "mask of row-scaled data, against mask of random data",
        "mask of float64, against mask of float32",
        "mask of float16, against mask of float32",
        "mask of bfloat16, against mask of float32",
        "mask of float8_e4m3fn, against mask of float32",
        "mask of float8_e5m2, against mask of float32",
        "mask of 200 arrays with scope global, against mask of one array",
        "mask with where=, a quarter of it False, against mask of one array",
        "mask with out=, against mask of one array",
    ],
    "bench_torch": [
        "rustprune.torch.prune, scope global, against prune.global_unstructured",
        "extra memory of rustprune.torch.prune, scope global",
        "extra memory of prune.global_unstructured",
        "training step with masks held, against one without masks",
        "training step of torch.nn.utils.prune, against one without masks",
    ],
}


def run(script: str, *options: str) -> str:
    """Return what a script prints."""
    command = [sys.executable, str(BENCHES / script), "--smoke", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_every_bench_is_known() -> None:
    assert sorted(FIGURES) == sorted(path.stem for path in (BENCHES / "python").glob("bench_*.py"))


@pytest.mark.parametrize("bench", FIGURES)
def test_every_figure_is_measured(bench: str) -> None:
    rows = [json.loads(line) for line in run(f"python/{bench}.py").splitlines()]
    assert list(dict.fromkeys(row["figure"] for row in rows)) == FIGURES[bench]
    for row in rows:
        value, at_least, at_most = row["value"], row["at_least"], row["at_most"]
        assert math.isfinite(value)
        in_bounds = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        assert row["reached"] is (None if at_least is at_most is None else in_bounds)
        if row["theirs_seconds"] is not None:
            ratio = row["theirs_seconds"] / row["ours_seconds"]
            assert ratio > 0
            assert math.isclose(value, ratio if row["unit"] == "times faster" else 1 / ratio)


def test_the_one_command_prints_a_table_and_records_no_part_of_a_run() -> None:
    records = sorted((BENCHES / "record").glob("*"))
    lines = run("run.py", "--only=import").splitlines()
    assert "python " in lines[0]
    assert [line.split(" | ")[0] for line in lines if line.startswith("|")] == [
        "| figure",
        "| ---",
        *(f"| {figure}" for figure in FIGURES["bench_import"]),
    ]
    assert sorted((BENCHES / "record").glob("*")) == records


def test_bounds_are_validated_by_a_script() -> None:
    blocks = run("python/validate_bounds.py").split("\n\n")
    titles, tables = blocks[::3], blocks[1::3]
    assert [title.split()[0].rstrip(":") for title in titles] == [
        "Spectral",
        "Convolutions",
        "Networks",
        "Certificates",
        "Violations",
    ]
    for table in tables:
        head, rule, *rows = table.splitlines()
        assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
        assert rows
        assert "nan" not in table


def test_more_violations_than_chance_allows_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES / "python"))
    validation = importlib.import_module("violations")
    rng = np.random.default_rng(0)
    fine, wrong = validation.Violations(), validation.Violations()
    # Two columns that are violated together: by numbers above their 0.9-quantile, or above their median.
    drawn = np.repeat(rng.uniform(size=(1000, 1)), 2, axis=1)
    fine.add("norm", 0.1, drawn, np.array([0.9, 0.9]))
    assert len([*fine.lines()]) == 3
    wrong.add("norm", 0.1, drawn, np.array([0.5, 0.5]))
    with pytest.raises(AssertionError, match=r"norm at delta 0\.1"):
        [*wrong.lines()]
    for above in 100, 120, 150, 200:
        assert stats.binom.sf(above - 1, 1000, 0.1) <= validation.tail(above / 1000, 0.1, 1000)
