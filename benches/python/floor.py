"""The share of the floor, and instruction sets, by `cargo bench`; no smoke test: it may have to compile."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from timing import Row, Scale, main

ROOT = Path(__file__).parents[2]
# Bytes that each entry moves, and the share to reach.
KINDS = {"f32_bytes": (5, 0.6), "f32_bits": (4.125, None), "bf16_bytes": (3, None)}
JOBS = {
    "tensor": "magnitude mask, scope tensor",
    "rows": "magnitude mask, scope row",
    "groups": "2:4 mask",
    "random": "random mask",
}
LEVELS = ("portable", "avx2", "avx512")


def floor(scale: Scale) -> Iterator[Row]:
    """Compare with a plain streaming kernel that is told the threshold, in one process with it."""
    found = measured("select", scale.entries, scale.most_rounds)
    for kind, (per_entry, at_least) in KINDS.items():
        ours, floor = found[f"select_{kind}"], found[f"floor_{kind}"]
        dtype, output = kind.split("_")
        yield Row(
            figure=f"magnitude mask, {dtype} to {output}, share of the floor",
            given=f"{scale.entries:,}, ratio 0.5, into memory in use",
            value=100 * floor / ours,
            unit="%",
            at_least=None if at_least is None else 100 * at_least,
            ours_seconds=ours,
            theirs_seconds=floor,
            bytes_per_second=per_entry * scale.entries / ours,
            rounds=scale.most_rounds,
        )
    for job, (below, level) in itertools.product(JOBS, itertools.pairwise(LEVELS)):
        if ours := found.get(f"{job}_{level}"):
            theirs = found[f"{job}_{below}"]
            yield Row(
                figure=f"{JOBS[job]} on {level}, against {below}",
                given=f"{min(scale.entries, 1 << 22):,} float32, ratio 0.5, rows of 4,096",
                value=theirs / ours,
                unit="times faster",
                ours_seconds=ours,
                theirs_seconds=theirs,
                bytes_per_second=5 * min(scale.entries, 1 << 22) / ours,
                rounds=scale.most_rounds,
            )


def norms(scale: Scale) -> Iterator[Row]:
    """Compare norms of what a mask removes with a plain loop that reads weights and mask once."""
    side, rounds = round(scale.entries**0.5), scale.most_rounds
    found = measured("norm", side, rounds)
    for kind, figure in ("three", "Frobenius, 1 and infinity norm"), ("frobenius", "Frobenius norm"):
        yield Row(
            figure=f"{figure} of the removed part, share of the floor",
            given=f"{side:,} x {side:,} float32, bool mask, ratio 0.5",
            value=100 * found["floor"] / found[kind],
            unit="%",
            at_least=50 if kind == "three" else None,
            ours_seconds=found[kind],
            theirs_seconds=found["floor"],
            bytes_per_second=5 * side**2 / found[kind],
            rounds=rounds,
        )


def measured(bench: str, *sizes: int) -> dict[str, float]:
    """Return what a bench of the crate prints."""
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", bench, "--", *map(str, sizes)]
    found: dict[str, float] = json.loads(subprocess.check_output(command, cwd=ROOT))
    return found


if __name__ == "__main__":
    main(floor, norms)
