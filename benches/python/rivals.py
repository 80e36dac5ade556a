"""What is done today without rustprune, each in its quickest plain form; most functions return their mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils import prune

Weights = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


def numpy_partition(weights: Weights, ratio: float) -> Mask:
    """Keep what is not below the value at the cut; along the last axis. Ties are all kept."""
    scores = np.abs(weights)
    cut = round(ratio * scores.shape[-1])
    kept: Mask = scores >= np.partition(scores, cut)[..., cut, np.newaxis]
    return kept


def numpy_argpartition(weights: Weights, ratio: float) -> Mask:
    """Prune the entries before the cut."""
    num_pruned = round(ratio * weights.size)
    mask = np.ones(weights.size, dtype=np.bool_)
    mask[np.argpartition(np.abs(weights), num_pruned)[:num_pruned]] = False
    return mask


def numpy_prune_(weights: Weights, ratio: float) -> Mask:
    """Write zeros where the mask is False."""
    mask = numpy_partition(weights, ratio)
    np.multiply(weights, mask, out=weights)
    return mask


def numpy_choice(entries: int, ratio: float) -> Mask:
    """Draw the fewer of the kept and the pruned without replacement."""
    num_pruned = round(ratio * entries)
    fewer = min(num_pruned, entries - num_pruned)
    mask = np.full(entries, fewer == num_pruned)
    mask[np.random.default_rng(0).choice(entries, fewer, replace=False, shuffle=False)] ^= True
    return mask


def torch_kthvalue(weights: torch.Tensor, ratio: float) -> torch.Tensor:
    """Keep what is above the last pruned value. Ties are all pruned."""
    scores = weights.abs()
    return scores > scores.kthvalue(round(ratio * scores.numel())).values


def torch_topk(weights: torch.Tensor, ratio: float) -> torch.Tensor:
    """Keep the largest, by their indices."""
    num_kept = weights.numel() - round(ratio * weights.numel())
    mask = torch.zeros(weights.shape, dtype=torch.bool)
    mask[weights.abs().topk(num_kept, sorted=False).indices] = True
    return mask


def torch_two_of_four(weights: torch.Tensor) -> torch.Tensor:
    """Keep the 2 largest of each 4."""
    groups = weights.abs().view(-1, 4)
    mask = torch.zeros(groups.shape, dtype=torch.bool)
    return mask.scatter_(1, groups.topk(2).indices, value=True)


def torch_l1_unstructured(weights: torch.Tensor, ratio: float) -> torch.Tensor:
    """Prune a module by magnitude."""
    one = module(weights)
    prune.l1_unstructured(one, "weight", amount=ratio)  # type: ignore[no-untyped-call]
    return one.get_buffer("weight_mask")


def torch_random_unstructured(weights: torch.Tensor, ratio: float) -> torch.Tensor:
    """Prune a module at random."""
    one = module(weights)
    prune.random_unstructured(one, "weight", amount=ratio)  # type: ignore[no-untyped-call]
    return one.get_buffer("weight_mask")


def torch_global_unstructured(weights: Mapping[str, torch.Tensor], ratio: float) -> list[torch.Tensor]:
    """Prune modules by magnitude, with one budget."""
    modules = [module(tensor) for tensor in weights.values()]
    prune.global_unstructured(
        [(one, "weight") for one in modules], pruning_method=prune.L1Unstructured, amount=ratio
    )
    return [one.get_buffer("weight_mask") for one in modules]


def module(weights: torch.Tensor) -> torch.nn.Module:
    """Return a module that has these weights, not copied."""
    new = torch.nn.Module()
    new.register_parameter("weight", torch.nn.Parameter(weights, requires_grad=False))
    return new


def numpy_lamp(arrays: Sequence[Weights], ratio: float) -> list[int]:
    """Count the entries of each array whose LAMP score is below the value at the cut of all scores."""
    scores = []
    for array in arrays:
        squares = np.square(array.reshape(-1), dtype=np.float64)
        squares = np.sort(squares)[::-1]
        scores.append(squares / np.cumsum(squares))
    joined = np.concatenate(scores)
    cut = round(ratio * joined.size)
    threshold = np.partition(joined, cut)[cut]
    return [int(np.count_nonzero(own < threshold)) for own in scores]


def torch_lamp(tensors: Sequence[torch.Tensor], ratio: float) -> list[int]:
    """Do the same in torch."""
    scores = []
    for tensor in tensors:
        squares = tensor.reshape(-1).double().square().sort(descending=True).values
        scores.append(squares / squares.cumsum(0))
    joined = torch.cat(scores)
    threshold = joined.kthvalue(round(ratio * joined.numel()) + 1).values
    return [int((own < threshold).sum()) for own in scores]
