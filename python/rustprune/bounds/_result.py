"""What `estimate` returns: numbers, the theorem behind each, and what has to be true for them to hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rustprune._text import csv_table, written

if TYPE_CHECKING:
    from numpy.typing import NDArray

THEOREMS = {
    0: ("none", "nothing is pruned"),
    1: ("T1", "Theorem 1: supremum over the ball of inputs, layer by layer"),
    2: ("T2", "Theorem 2: inputs fixed beforehand"),
    3: ("T3", "Theorem 3: supremum over the ball by a net of points, for inputs of few dimensions"),
    6: ("T6", "Theorem 6: supremum over the ball by random smoothing, for inputs of few dimensions"),
}
INDEPENDENT = (
    "the weights of each layer are independent, of the law given, and layers are independent: true of fresh "
    "weights, not of trained ones"
)


@dataclass(frozen=True, slots=True, eq=False)
class BoundEstimate:
    """Bounds of the gap between networks and their pruned forms, as arrays of one shape.

    ``P(gap > epsilon) <= delta`` for each entry, where `gap` is the largest Euclidean distance between the
    outputs of the two networks over the inputs given: a ball, or some points fixed beforehand.

    Parameters
    ----------
    epsilon : ndarray of float64
        The bound. Infinity where nothing can be said; 0 where nothing is pruned.
    theorem : ndarray of str
        The theorem of the theory page that gave it.
    p : ndarray of int
        Order of the moment that gave it.
    ratio, delta, radius, inputs : ndarray of float64
        What it was asked for; `inputs` is NaN for the ball, `ratio` is NaN where counts were given.
    method : ndarray of str
        ``"magnitude"`` or ``"random"``.
    assumptions : tuple of str
        What has to be true.
    """

    epsilon: NDArray[np.float64]
    theorem: NDArray[np.str_]
    p: NDArray[np.uint32]
    ratio: NDArray[np.float64]
    method: NDArray[np.str_]
    delta: NDArray[np.float64]
    radius: NDArray[np.float64]
    inputs: NDArray[np.float64]
    assumptions: tuple[str, ...]

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield one record for each entry, in row-major order, with None for what was not asked.

        Yields
        ------
        dict
            Of plain Python values.
        """
        columns = ("ratio", "method", "delta", "radius", "inputs", "epsilon", "theorem", "p")
        for index in np.ndindex(self.epsilon.shape):
            record = {name: getattr(self, name)[index].item() for name in columns}
            for name in ("ratio", "inputs"):
                if math.isnan(record[name]):
                    record[name] = None
            yield record

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return a table with a line for each entry, and write it if a path is given.

        Parameters
        ----------
        path : str or Path, optional
            A file to write.

        Returns
        -------
        str
            The table.
        """
        names = ("ratio", "method", "delta", "radius", "inputs", "epsilon", "theorem", "p")
        return written(csv_table(names, self.rows()), path)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return everything as JSON, and write it if a path is given; infinity is the string "inf".

        Parameters
        ----------
        path : str or Path, optional
            A file to write.

        Returns
        -------
        str
            An object with `assumptions`, `shape` and `bounds`.
        """
        rows = [
            {name: "inf" if value == math.inf else value for name, value in row.items()}
            for row in self.rows()
        ]
        facts = {"assumptions": self.assumptions, "shape": self.epsilon.shape, "bounds": rows}
        return written(json.dumps(facts, indent=2) + "\n", path)

    def __str__(self) -> str:
        """Return the range of the bounds, the theorems used, and the assumptions."""
        size = self.epsilon.size
        if size == 0:
            head = "no bounds"
        elif size == 1:
            head = f"P(gap > {self.epsilon.item():.6g}) <= {self.delta.item():g}"
        else:
            head = f"{size:,} bounds from {self.epsilon.min():.6g} to {self.epsilon.max():.6g}"
        names = {*self.theorem.ravel().tolist()}
        used = [f"  {sentence}" for name, sentence in THEOREMS.values() if name in names]
        return "\n".join([head, "by", *used, "if", *(f"  {it}" for it in self.assumptions)])
