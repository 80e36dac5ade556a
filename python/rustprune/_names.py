"""Patterns of the names of tensors, as users write them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence

# Output layers of language models: no published comparison prunes them (Wanda, SparseGPT, llm-compressor).
OUTPUT_LAYERS = ("re:.*lm_head", r"re:(.*\.)?predictions\.decoder\.weight")


def matched(option: str, patterns: Iterable[str], names: Sequence[str]) -> set[str]:
    """Return the names that a user's patterns match, each at least one."""
    found: set[str] = set()
    for pattern in patterns:
        fits = matcher(option, pattern)
        if not (new := {name for name in names if fits(name)}):
            raise ValueError(f"{option}: expected the name of a tensor, no name matches {pattern!r}")
        found |= new
    return found


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Return whether one of the patterns matches a name."""
    return any(matcher("patterns", pattern)(name) for pattern in patterns)


def matcher(option: str, pattern: str) -> Callable[[str], bool]:
    """Return the test for a pattern: a name, a shell pattern, or after ``re:`` a regular expression.

    Regular expressions match from the start of the name. One that is none is a ValueError.
    """
    if not pattern.startswith("re:"):
        return lambda name: name == pattern or fnmatch.fnmatchcase(name, pattern)
    try:
        expression = re.compile(pattern.removeprefix("re:"))
    except re.error as error:
        raise ValueError(f"{option}: expected a regular expression, got {pattern!r}: {error}") from None
    return lambda name: expression.match(name) is not None
