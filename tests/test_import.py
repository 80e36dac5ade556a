"""What `import rustprune` brings, what it does not, and how long it takes."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import rustprune

OPTIONAL = [
    "accelerate",
    "click",
    "lightning",
    "matplotlib",
    "ml_dtypes",
    "pytorch_lightning",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
]


def run(code: str) -> str:
    """Return what a new interpreter prints."""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return found.stdout.strip()


def loaded_by(imports: str) -> list[str]:
    """Return which of the optional packages a new interpreter has after an import."""
    return run(f"import sys, {imports}; print(*(name for name in {OPTIONAL} if name in sys.modules))").split()


def test_importing_needs_numpy_only() -> None:
    assert loaded_by("rustprune") == []


def test_importing_the_torch_layer_needs_no_trainer() -> None:
    assert not {"accelerate", "lightning", "pytorch_lightning", "transformers"} & {
        *loaded_by("rustprune.torch")
    }


def test_what_importing_should_not_bring_would_be_noticed() -> None:
    assert loaded_by("rustprune, ml_dtypes") == ["ml_dtypes"]


def test_using_it_on_arrays_imports_nothing_more() -> None:
    code = "numpy; import rustprune as r; r.prune_(numpy.ones(4), 0.5); r.random_mask(4, 0.5, seed=0)"
    assert loaded_by(code) == []


def test_importing_takes_less_than_a_tenth_of_a_second_beyond_numpy() -> None:
    """The quickest of five: other work on the machine only adds."""
    code = "import numpy, time; t = time.perf_counter(); import rustprune; print(time.perf_counter() - t)"
    assert min(float(run(code)) for _ in range(5)) < 0.1


def test_every_documented_name_is_there_and_every_public_name_documented() -> None:
    documented = set(re.findall(r"`([A-Za-z]\w*)`", rustprune.__doc__ or ""))
    public = {
        name
        for name, value in vars(rustprune).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert documented - {"ratio", "bounds"} == public
    assert len(public) > 10


def test_public_names_say_that_they_are_of_the_package() -> None:
    assert all(
        getattr(rustprune, name).__module__.startswith("rustprune.") for name in ("mask", "NofM", "Summary")
    )
