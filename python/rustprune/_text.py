"""Results as text: CSV, and tables that a terminal or a page of Markdown shows."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path


def written(text: str, path: str | os.PathLike[str] | None) -> str:
    """Write the text if there is a path; return it."""
    if path is not None:
        Path(path).write_text(text)
    return text


def csv_table(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Return a line of names and one for each row; None is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield lines whose columns are flush right, the last of them flush left."""
    *widths, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for *cells, last in rows:
        yield "  ".join([*(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)), last])


def markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose first row is its head, columns flush right but the last."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    yield head
    yield f"|{'---:|' * (len(rows[0]) - 1)}---|"
    yield from body
