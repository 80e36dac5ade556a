"""Fences of the layout that neither the compilers nor the linters hold; each is shown to notice a breach."""

from __future__ import annotations

import importlib.metadata
import pathlib
import re
import tomllib

import pytest

import rustprune

ROOT = pathlib.Path(__file__).parents[1]
FENCES = {
    "rayon": (r"\brayon\b", r"src/parallel\.rs"),
    "pyo3": (r"\b(pyo3|numpy)::", r"src/python/.*|src/lib\.rs"),
    "unsafe": (r"\bunsafe\b", r"src/simd/(?!mod|portable|tests)\w+\.rs"),
}


def breaches(fence: str, sources: dict[str, str]) -> list[str]:
    """Return the files outside the fence whose code, comments left out, holds the word."""
    word, inside = FENCES[fence]
    code = {path: re.sub(r"//.*", "", text) for path, text in sources.items()}
    return [path for path, text in code.items() if re.search(word, text) and not re.fullmatch(inside, path)]


@pytest.mark.parametrize("fence", FENCES)
def test_rust_words_stay_behind_their_fence(fence: str) -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "src").rglob("*.rs")}
    assert len(sources) > 10
    assert breaches(fence, sources) == []


@pytest.mark.parametrize(
    ("fence", "line"),
    [
        ("rayon", "use rayon::prelude::*;"),
        ("pyo3", "use pyo3::prelude::*;"),
        ("unsafe", "let byte = unsafe { *pointer };"),
    ],
)
def test_a_breach_is_noticed(fence: str, line: str) -> None:
    assert breaches(fence, {"src/mask.rs": line, "src/ratio.rs": f"// {line}"}) == ["src/mask.rs"]


def test_the_version_is_written_in_cargo_toml_only() -> None:
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert rustprune.__version__ == importlib.metadata.version("rustprune") == version
    sources = [*(ROOT / "python").rglob("*.py"), *(ROOT / "src").rglob("*.rs"), ROOT / "pyproject.toml"]
    assert [path.name for path in sources if f'"{version}"' in path.read_text()] == []
