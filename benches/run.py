"""Every bench in one command: a table, and after a whole run its record in `benches/record/`.

    python benches/run.py [--smoke] [--only WORD]

A whole run takes about ten minutes, 10 GB of memory and 12 GB in the folder of temporary files. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rustprune
from rustprune import _rustprune

HERE = Path(__file__).parent
# What `timing.Row.facts` returns, and what the figures depend on.
Row = dict[str, Any]
Machine = dict[str, Any]

ABOUT = """\
`{command}` at {commit} on {date}: {cpu}, {cores} cores, {memory_gib} GiB, {simd}, {threads} threads;
{system}; rustprune {rustprune}, Rust {rust}, Python {python}, NumPy {numpy}, torch {torch}.
Times are medians of calls made in turn."""
HEAD = ["figure", "input", "measured", "to reach", "reached", "ours", "theirs", "GB/s", "rounds"]


def main() -> None:
    """Run the benches, show their rows as they come, and keep them if none is left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, once each, no record")
    parser.add_argument("--only", metavar="WORD", default="", help="some of the benches, no record")
    options = parser.parse_args()

    about = machine()
    rows = []
    for row in measure([*["--smoke"] * options.smoke, f"--only={options.only}"]):
        rows.append(row)
        print(*cells(row)[:5], sep="  ", file=sys.stderr, flush=True)
    page = f"{ABOUT.format(**about)}\n\n{table(rows)}\n"
    print(page)
    if not (options.smoke or options.only):
        cpu = re.sub(r"\W+", "-", about["cpu"].lower()).strip("-")
        record = HERE / "record" / f"{cpu}-{about['cores']}c-{about['date']}-{about['commit']}.json"
        record.parent.mkdir(exist_ok=True)
        record.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")
        record.with_suffix(".md").write_text(f"# {record.stem}\n\n{page}")


def measure(arguments: list[str]) -> Iterator[Row]:
    """Yield the rows of every script."""
    folder = HERE / "python"
    for script in folder / "floor.py", *sorted(folder.glob("bench_*.py")):
        with subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE) as bench:
            yield from map(json.loads, bench.stdout or ())
        if bench.returncode:
            sys.exit(f"{script.name} failed")


def machine() -> Machine:
    """Return what the figures depend on."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": output("git", "describe", "--always", "--exclude=*", "--dirty=-changed"),
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "simd": _rustprune.simd_level(),
        "threads": rustprune.get_num_threads(),
        "system": platform.platform(),
        "rust": output("rustc", "--version").split()[1],
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "torch": version("torch"),
        "rustprune": version("rustprune"),
    }


def output(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.check_output(command, cwd=HERE, text=True).strip()


def table(rows: list[Row]) -> str:
    """Return the rows in Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(row: Row) -> list[str]:
    """Return a row as text, under HEAD."""
    at_least, at_most, speed = row["at_least"], row["at_most"], row["bytes_per_second"]
    return [
        row["figure"],
        row["given"],
        f"{row['value']:.3g} {row['unit']}",
        f"≥ {at_least:g}" if at_least is not None else f"≤ {at_most:g}" if at_most is not None else "",
        {True: "yes", False: "**no**", None: ""}[row["reached"]],
        milliseconds(row["ours_seconds"]),
        milliseconds(row["theirs_seconds"]),
        "" if speed is None else f"{speed / 1e9:.3g}",
        str(row["rounds"]),
    ]


def milliseconds(seconds: float | None) -> str:
    """Return a time as text."""
    return (
        "" if seconds is None else f"{1000 * seconds:,.3g} ms" if seconds < 1 else f"{1000 * seconds:,.0f} ms"
    )


if __name__ == "__main__":
    main()
