"""Random masks where they are wanted: the stream of the core, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import rustprune
from gpu import BACKENDS, HAS_CUDA, Place, assert_masks, place
from rustprune.torch import _gpu


@pytest.fixture(params=BACKENDS)
def there(request: pytest.FixtureRequest) -> Place:
    return place(request.param)


def draw(there: Place, lengths: list[int], labels: list[Any], ask: dict[str, Any]) -> list[torch.Tensor]:
    return _gpu.random_(lengths, labels, device=there.device, backend=there.backend, **ask)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 2000, *([65_537, 3_000_001] if HAS_CUDA else [])])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.5, 0.3, 0.9, 0.999])
def test_a_seed_means_the_same_mask(length: int, ratio: float, there: Place) -> None:
    seed, count = 2**40 + length, round(ratio * length)
    for packed in (True, False):
        found = draw(there, [length], [0], {"num_pruned": [count], "seed": seed, "packed": packed})
        assert_masks(found, [rustprune.random_mask(length, count=count, seed=seed)], packed=packed)


@pytest.mark.parametrize("seed", [0, 2**32, 2**64 - 1])
def test_names_and_positions_mean_the_same_masks(seed: int, there: Place) -> None:
    names, lengths = ["layer.0.weight", "b", "größe"], [1500, 1, 700]
    arrays = {name: torch.empty(length) for name, length in zip(names, lengths, strict=True)}
    counts = [round(0.3 * length) for length in lengths]
    named = rustprune.mask(arrays, 0.3, method="random", seed=seed)
    assert_masks(draw(there, lengths, names, {"num_pruned": counts, "seed": seed}), list(named.values()))
    listed = rustprune.mask(list(arrays.values()), 0.3, method="random", seed=seed)
    assert_masks(draw(there, lengths, [0, 1, 2], {"num_pruned": counts, "seed": seed}), listed)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_corrections_that_arrays_share_and_existing_masks_mean_the_same(
    *, together: bool, masked: bool, there: Place
) -> None:
    names, lengths = ["a", "b", "c"], [900, 40, 1300]
    arrays = {name: torch.empty(length) for name, length in zip(names, lengths, strict=True)}
    where = {
        name: torch.from_numpy(rustprune.random_mask(length, 0.25, seed=1))
        for name, length in zip(names, lengths, strict=True)
    }
    core: dict[str, Any] = {"where": where} if masked else {}
    ours: dict[str, Any] = {"where": there.bits(one.numpy() for one in where.values())} if masked else {}
    expected = rustprune.mask(
        arrays, 0.6, method="random", seed=5, scope="global" if together else "tensor", **core
    )
    counts = [round(0.6 * length) for length in lengths]
    ours["num_pruned"] = round(0.6 * sum(lengths)) if together else counts
    assert_masks(draw(there, lengths, names, {"seed": 5, **ours}), list(expected.values()))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("pattern", ["2:4", "3:7", "16:32", "1:1"])
def test_patterns_mean_the_same(*, pattern: str, masked: bool, there: Place) -> None:
    kept, group = map(int, pattern.split(":"))
    shapes = [(6, group * 5), (group * 70,)]
    arrays = [torch.empty(shape) for shape in shapes]
    where = [torch.from_numpy(rustprune.random_mask(shape, 0.4, seed=1)) for shape in shapes]
    core: dict[str, Any] = {"where": where} if masked else {}
    ours: dict[str, Any] = {"where": there.bits(one.numpy() for one in where)} if masked else {}
    expected = rustprune.mask(arrays, pattern=pattern, method="random", seed=3, **core)
    lengths = [one.numel() for one in arrays]
    for packed in (True, False):
        found = draw(there, lengths, [0, 1], {"pattern": (kept, group), "seed": 3, "packed": packed, **ours})
        assert_masks(found, expected, packed=packed)


def test_patterns_along_input_channels_mean_the_same(there: Place) -> None:
    array = torch.empty(4, 6, 3, 3)
    pattern = rustprune.NofM(1, 3, axis=1)
    expected = rustprune.mask({"conv": array}, pattern=pattern, method="random", seed=3)
    found = draw(there, [array.numel()], ["conv"], {"pattern": (1, 3), "strides": [9], "seed": 3})
    assert_masks(found, list(expected.values()))
