"""Masks out of what other pruning tools save."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from rustprune.torch import _bits
from rustprune.torch._masks import Masks

_PARAMETRIZED = re.compile(r"(?P<owner>(?:.*\.)?)parametrizations\.(?P<name>[^.]+)\.(?P<rest>.+)")


def import_torch_pruned(state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Masks]:
    """Return the weights of a state dict of ``torch.nn.utils.prune`` under plain names, and the masks.

    Parameters
    ----------
    state_dict : mapping of str to Tensor
        With pairs ``x_orig`` and ``x_mask``, or ``parametrizations.x.original`` and
        ``parametrizations.x.0.mask`` of a parametrization by a mask. What is neither is taken as it is.

    Returns
    -------
    state_dict : dict of str to Tensor
        In the order given. Each pair is ``x``, with zeros written where its mask prunes; other tensors are
        those given and not copies.
    masks : Masks
        True = kept, by those names.

    Raises
    ------
    ValueError
        If a mask is of another shape than its weights or has other values than 0 and 1; if there is a tensor
        of the plain name already; if something else parametrizes it.

    See Also
    --------
    hold : holds the masks on the model that the weights are loaded into.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> from torch.nn.utils import prune
    >>> old = prune.l1_unstructured(torch.nn.Linear(4, 2), "weight", 6)
    >>> weights, masks = rpt.import_torch_pruned(old.state_dict())
    >>> model = torch.nn.Linear(4, 2)
    >>> model.load_state_dict(weights)
    <All keys matched successfully>
    >>> hold = rpt.hold(model, masks)
    >>> masks, sorted(weights)
    (Masks(1 parameters, 2 of 8 kept), ['bias', 'weight'])
    """
    plain: dict[str, Tensor] = {}
    masks: dict[str, Tensor] = {}
    pairs = _pairs(state_dict)
    taken = {mask for _, mask in pairs.values()}
    for key, tensor in state_dict.items():
        if key in taken:
            continue
        name = key
        if key in pairs:
            name, mask = pairs[key]
            masks[name] = _bits.checked_flags(name, state_dict[mask].to(tensor.device), tensor.shape)
            tensor = tensor.detach().masked_fill(~masks[name], 0)
            if name in state_dict:
                raise ValueError(f"{name}: expected {key} instead of it, got both")
        plain[name] = tensor
    return plain, Masks(masks)


def _pairs(state_dict: Mapping[str, Tensor]) -> dict[str, tuple[str, str]]:
    """Return the plain name and the key of the mask for the key of each pruned weight."""
    pairs = {}
    for key in state_dict:
        if key.endswith("_orig") and (mask := key.removesuffix("_orig") + "_mask") in state_dict:
            pairs[key] = key.removesuffix("_orig"), mask
        elif found := _PARAMETRIZED.fullmatch(key):
            stem = key.removesuffix(found["rest"])
            keys = {other for other in state_dict if other.startswith(stem)}
            if keys != {f"{stem}original", f"{stem}0.mask"}:
                raise ValueError(f"{key}: expected one parametrization by a mask, got {sorted(keys)}")
            if found["rest"] == "original":
                pairs[key] = found["owner"] + found["name"], f"{stem}0.mask"
    return pairs
