"""Triton where it can be had, tensor operations elsewhere."""

from __future__ import annotations

import importlib.util
import inspect
import os
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import torch

Backend: TypeAlias = Literal["triton", "operations"]


def backend_of(device: torch.device) -> Backend:
    """Return what masks on that device are made with.

    On a CPU that is Triton only under ``TRITON_INTERPRET=1``: how the kernels are tested without a GPU.
    """
    if device.type == "cuda":
        return "triton" if _has_triton() else "operations"
    return "triton" if os.environ.get("TRITON_INTERPRET") == "1" and _has_triton() else "operations"


def _has_triton() -> bool:
    if importlib.util.find_spec("triton") is None:
        return False
    from triton import language  # noqa: PLC0415  (a second's import, for whoever selects on a GPU)

    # Histograms without a mask count what is not there.
    return "mask" in inspect.signature(language.histogram).parameters
