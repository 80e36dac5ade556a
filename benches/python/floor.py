"""The share of the floor, by `cargo bench`; no smoke test of its own, since it may have to be compiled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from timing import Row, Scale, main

ROOT = Path(__file__).parents[2]
# Bytes that each entry moves, and the share to reach.
KINDS = {"f32_bytes": (5, 0.6), "f32_bits": (4.125, None), "bf16_bytes": (3, None)}


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


if __name__ == "__main__":
    main(floor)
