"""The time of `import rustprune` beyond that of NumPy."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from timing import Row, Scale, main

CODE = "import numpy, time; start = time.perf_counter(); import rustprune; print(time.perf_counter() - start)"


def import_(scale: Scale) -> Iterator[Row]:
    """Ask new interpreters, one after the other; the first finds cold files."""
    command = [sys.executable, "-c", CODE]
    _, *seconds = (float(subprocess.check_output(command)) for _ in range(scale.most_rounds + 1))
    median = statistics.median(seconds)
    yield Row(
        figure="import rustprune, beyond NumPy",
        given="a new interpreter",
        value=1000 * median,
        unit="ms",
        at_most=100,
        ours_seconds=median,
        rounds=len(seconds),
    )


if __name__ == "__main__":
    main(import_)
