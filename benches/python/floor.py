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
    sizes = [str(scale.entries), str(scale.most_rounds)]
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", "select", "--", *sizes]
    found = json.loads(subprocess.check_output(command, cwd=ROOT))
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


if __name__ == "__main__":
    main(floor)
