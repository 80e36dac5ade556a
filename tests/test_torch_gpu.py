"""Models on one GPU: the masks are those of the CPU, bit for bit, chosen and held there.

Without a GPU the same requests are made of tensors on the CPU, in the words that a GPU is asked in.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import rustprune
import rustprune.torch as rpt
from held import revived
from rustprune import NofM
from rustprune.torch import _bits, _on_gpu
from rustprune.torch._choose import Amount, By, Groups, PerRow, PerTensor, Together, choose

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(54, 33), nn.ReLU(), nn.Linear(33, 9)
    )


REQUESTS: list[dict[str, Any]] = [
    {"ratio": 0.6},
    {"ratio": 0.6, "scope": "global"},
    {"ratio": 0.6, "scope": "global", "min_kept": 0.2},
    {"ratio": 0.6, "scope": "row"},
    {"pattern": "2:4", "targets": ["0"]},
    {"ratio": 0.6, "method": "random", "seed": 3},
    {"ratio": 0.6, "method": "random", "seed": 3, "scope": "global"},
    {"ratio": 0.6, "method": "random", "seed": 3, "scope": "row"},
    {"ratio": 0.6, "allocation": "lamp"},
]


@needs_gpu
@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_of_a_model_on_a_gpu_are_those_of_the_cpu(asked: dict[str, Any], dtype: torch.dtype) -> None:
    here, there = model().to(dtype), model().to("cuda", dtype)
    expected = rpt.masks(here, **asked)
    found = rpt.masks(there, **asked)
    assert found == expected
    assert all(bits.is_cuda for bits in found.bits.values())
    if "pattern" not in asked:
        rpt.prune(here, **asked)
        rpt.prune(there, **asked)
        more = asked | {"ratio": 0.8}
        assert rpt.masks(there, **more) == rpt.masks(here, **more)


@needs_gpu
def test_masks_of_tensors_on_a_gpu_are_those_of_the_cpu() -> None:
    there = {"a": torch.randn(70, 33, device="cuda"), "b": torch.randn(999, device="cuda")}
    expected = rustprune.mask({name: one.cpu() for name, one in there.items()}, 0.7, scope="global")
    masks = rpt.masks(there, 0.7, scope="global")
    rpt.apply_(there, masks)
    assert all(torch.equal(masks[name].cpu(), mask) for name, mask in expected.items())
    assert all(torch.equal(there[name] != 0, masks[name]) for name in there)


@needs_gpu
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_pruned_weights_stay_zero_while_a_model_trains_on_a_gpu(kind: type[torch.optim.Optimizer]) -> None:
    there = model().cuda()
    more: dict[str, Any] = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(there.parameters(), lr=1e-2, weight_decay=0.1, **more)  # type: ignore[call-arg]
    rpt.prune(there, 0.8, scope="global", optimizer=optimizer)
    masks = rpt.held_masks(there)
    for _ in range(20):
        optimizer.zero_grad()
        there(torch.randn(8, 4, 5, 5, device="cuda")).square().mean().backward()
        optimizer.step()
    assert revived(there, masks) == 0
    assert rpt.finalize(there).num_kept == masks.num_kept


@pytest.mark.parametrize(
    ("amount", "asked"),
    [
        (PerTensor({"a": (0.4, None)}), {"ratio": 0.4, "count": None, "scope": "tensor"}),
        (PerRow({"a": (0.4, None)}), {"ratio": 0.4, "count": None, "scope": "row"}),
        (PerRow({"a": (None, 7)}), {"ratio": None, "count": 7, "scope": "row"}),
        (Together(123, {}), {"ratio": None, "count": 123, "scope": "global"}),
        (Groups(1, 4), {"ratio": None, "count": None, "scope": "tensor", "pattern": NofM(1, 4, axis=1)}),
    ],
)
@pytest.mark.parametrize("score", ["magnitude", "value"])
def test_a_gpu_is_asked_what_the_core_is(amount: Amount, asked: dict[str, Any], score: _on_gpu.Score) -> None:
    torch.manual_seed(1)
    weights = {"a": torch.randn(6, 8, 3).round(decimals=1)}
    for where in (None, {"a": _bits.pack(torch.rand(6, 8, 3) < 0.9)}):
        if where is not None and isinstance(amount, PerRow):
            where = None  # a row may have more pruned than is asked for
        request = {"pattern": None} | asked
        found = _on_gpu.ask(weights, where, **request, score=score, nan="raise", seed=None)
        assert torch.equal(found["a"], choose(weights, amount, By(score), where)["a"])


def test_what_a_gpu_cannot_be_asked_is_refused_as_by_the_core() -> None:
    weights = {"a": torch.ones(6, 6)}
    refused: list[tuple[Amount, dict[str, Any]]] = [
        (PerTensor({"a": (None, 37)}), {"count": 37}),
        (PerTensor({"a": (None, 1)}), {"count": 1}),
        (Groups(1, 4), {"pattern": NofM(1, 4)}),
    ]
    for amount, asked in refused:
        where = {"a": _bits.pack(torch.tensor([False, False] + [True] * 34))}
        request: dict[str, Any] = {"ratio": None, "count": None, "scope": "tensor", "pattern": None} | asked
        with pytest.raises(ValueError, match=r".+") as core:
            choose(weights, amount, By(), where)
        with pytest.raises(ValueError, match=r".+") as there:
            _on_gpu.ask(weights, where, **request, score="magnitude", nan="raise", seed=None)
        assert str(there.value) == str(core.value).replace("an array", "a")
