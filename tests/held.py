"""What tests of masks on models that train share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from rustprune.torch import Masks


def revived(model: nn.Module, masks: Masks) -> int:
    """Return how many pruned weights are not zero."""
    return sum(int((model.get_parameter(name)[~mask] != 0).sum()) for name, mask in masks.items())


class Steps:
    """A schedule that is written down step by step."""

    def __init__(self, ratios: dict[int, float]) -> None:
        self.ratios = ratios

    def due(self, step: int) -> bool:
        """Return whether a ratio is written down."""
        return step in self.ratios

    def ratio_at(self, step: int) -> float:
        """Return the ratio."""
        return self.ratios[step]
