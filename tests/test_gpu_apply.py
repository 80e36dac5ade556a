"""Zeros where a mask prunes, on weights of every dtype at once."""

from __future__ import annotations

import math

import pytest
import torch

import rustprune
from gpu import BACKENDS, DTYPES, Place, place
from rustprune.torch import _gpu


@pytest.fixture(params=BACKENDS)
def there(request: pytest.FixtureRequest) -> Place:
    return place(request.param)


def test_zeros_are_positive_and_nothing_else_is_touched(there: Place) -> None:
    sizes = [7, 4096, 4097, 0, 64, 9001]
    weights = [torch.full((size,), -1.5).to(dtype) for size, dtype in zip(sizes, DTYPES, strict=True)]
    for weight in weights:
        weight.view(torch.uint8)[: weight.element_size() * 2] = 0xFF  # NaN, of every format
    masks = [rustprune.random_mask(size, 0.5, seed=size) for size in sizes]
    changed = there.put([weight.clone() for weight in weights])
    _gpu.apply_(changed, there.bits(masks), backend=there.backend)
    for found, weight, mask in zip(changed, weights, masks, strict=True):
        bytes_ = weight.view(torch.uint8).view(weight.numel(), weight.element_size())
        expected = torch.where(torch.from_numpy(mask)[:, None], bytes_, 0)
        assert torch.equal(
            found.cpu().view(torch.uint8).view(weight.numel(), weight.element_size()), expected
        )


def test_autograd_is_told(there: Place) -> None:
    [weight] = there.put([torch.full((3,), math.e, requires_grad=True)])
    result = (weight * weight).sum()
    _gpu.apply_([weight], there.bits([[True, False, True]]), backend=there.backend)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()
