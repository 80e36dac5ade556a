"""Random masks of an exact count against NumPy and torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

import rivals
import rustprune
from timing import Calls, Row, Scale, interleave, main, normal

PACKED, PLAIN = "random mask to bits", "random mask to bool"
CHOICE, UNSTRUCTURED = "Generator.choice", "prune.random_unstructured"


def sample(scale: Scale) -> Iterator[Row]:
    """Compare at a ratio of one binary digit, and at one of endless digits."""
    entries = scale.entries
    weights = torch.from_numpy(normal(entries))
    theirs: dict[float, dict[str, tuple[Callable[[], object], float]]] = {
        0.5: {
            CHOICE: (lambda: rivals.numpy_choice(entries, 0.5), 20),
            UNSTRUCTURED: (lambda: rivals.torch_random_unstructured(weights, 0.5), 50),
        },
        0.9: {CHOICE: (lambda: rivals.numpy_choice(entries, 0.9), 20)},
    }
    for ratio, others in theirs.items():
        calls: Calls = {
            PACKED: partial(rustprune.random_mask, entries, ratio, seed=0, packed=True),
            PLAIN: partial(rustprune.random_mask, entries, ratio, seed=0),
        }
        calls |= {name: call for name, (call, _) in others.items()}
        times = interleave(f"{entries:,}, ratio {ratio}", scale, calls)
        for name, (_, at_least) in others.items():
            yield times.faster(PACKED, name, moved=entries // 8, at_least=at_least)
            yield times.faster(PLAIN, name, moved=entries)


def two_of_four(scale: Scale) -> Iterator[Row]:
    """Compare on a pattern."""
    entries = scale.entries
    ours, theirs = "random 2:4 mask to bool", "torch rand + topk + scatter"
    calls: Calls = {
        ours: lambda: rustprune.random_mask(entries, pattern="2:4", seed=0),
        theirs: lambda: rivals.torch_two_of_four(torch.rand(entries)),
    }
    yield interleave(f"{entries:,}", scale, calls).faster(ours, theirs, moved=entries)


if __name__ == "__main__":
    main(sample, two_of_four)
