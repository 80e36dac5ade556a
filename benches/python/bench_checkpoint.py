"""The command `rustprune prune` against `cp` of the same file, in time and in memory. Linux only."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from timing import Calls, Row, Scale, interleave, main, normal

TENSORS, COLUMNS = 16, 4000
PRUNE = [sys.executable, "-m", "rustprune", "prune", "--quiet", "--ratio=0.5"]
CP = ["cp"]
CP_SYNC = [
    "sh",
    "-c",
    'cp "$0" "$1" && sync "$1"',
]  # on the disk when it ends, as that of `rustprune prune` is


def bfloat16(scale: Scale) -> Iterator[Row]:
    """Prune 2 bytes a weight."""
    yield from checkpoint("BF16", scale)


def float32(scale: Scale) -> Iterator[Row]:
    """Prune 4 bytes a weight."""
    yield from checkpoint("F32", scale)


def checkpoint(dtype: str, scale: Scale) -> Iterator[Row]:
    """Prune one file, warm: everything is read from the page cache and written to it."""
    with tempfile.TemporaryDirectory() as folder:
        source, copy = Path(folder, "in.safetensors"), Path(folder, "out.safetensors")
        write_checkpoint(source, dtype, 40 * scale.entries)
        size = source.stat().st_size
        given = f"{size / 1e9:.3g} GB of {TENSORS} tensors, {dtype}, ratio 0.5"

        def clear() -> None:
            copy.unlink(missing_ok=True)
            os.sync()  # nobody waits for what another left to be written

        def runs(*command: str) -> Callable[[], int]:
            def run() -> int:
                subprocess.run([*command, source, copy], check=True)
                return copy.stat().st_size

            return run

        for scope in "tensor", "global":
            clear()
            yield Row(
                figure=f"rustprune prune, scope {scope}, memory beyond the page cache",
                given=given,
                value=peak_anonymous([*PRUNE, f"--scope={scope}", str(source), str(copy)]) / 1e6,
                unit="MB",
                at_most=300,
            )
        calls: Calls = {
            "cp": runs(*CP),
            "rustprune prune, scope tensor": runs(*PRUNE, "--scope=tensor"),
            "cp and sync": runs(*CP_SYNC),
            "rustprune prune, scope global": runs(*PRUNE, "--scope=global"),
        }
        times = interleave(given, scale, calls, before=clear, budget=45)
        for scope, at_most in ("tensor", 2.5), ("global", None):
            ours = f"rustprune prune, scope {scope}"
            yield times.slower(ours, "cp", moved=2 * size, at_most=at_most)
            yield times.slower(ours, "cp and sync", moved=2 * size)


def write_checkpoint(path: Path, dtype: str, size: int) -> None:
    """Write tensors of normal weights, at scales that differ, as a safetensors file."""
    itemsize = {"BF16": 2, "F32": 4}[dtype]
    rows = size // (TENSORS * COLUMNS * itemsize)
    length = rows * COLUMNS * itemsize
    header = {
        f"layers.{number}.weight": {
            "dtype": dtype,
            "shape": [rows, COLUMNS],
            "data_offsets": [number * length, (number + 1) * length],
        }
        for number in range(TENSORS)
    }
    text = json.dumps(header).encode()
    weights = normal(rows, COLUMNS)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for number in range(TENSORS):
            # The high half of a float32 is a bfloat16.
            words = (weights * np.float32(0.5 ** (number % 4))).astype("<f4").view(f"<u{itemsize}")
            words[:, 4 // itemsize - 1 :: 4 // itemsize].tofile(file)


def peak_anonymous(command: list[str]) -> int:
    """Return the most bytes of a process that are no pages of files, looked at every 2 milliseconds."""
    most = 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            # A process that has just ended has no such lines.
            kilobytes = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
            most = max(most, 1024 * sum(kilobytes))
            time.sleep(0.002)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return most


if __name__ == "__main__":
    main(bfloat16, float32)
