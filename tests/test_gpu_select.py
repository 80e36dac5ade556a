"""Masks by score where the weights lie: the bits of the core, for every dtype, scope, tie and place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch

import rustprune
from gpu import BACKENDS, DTYPES, HAS_CUDA, WRAPS, Place, assert_masks, place, skip_where_interpreted
from inputs import INPUTS, make
from rustprune.torch import _gpu
from rustprune.torch._gpu._tuning import Tuning

if TYPE_CHECKING:
    from torch import Tensor

    from rustprune.torch._gpu._select import Nan

# Many tiles and chunks, and contests that no single program decides, of few entries.
TUNING = Tuning(block=512, chunk=2048, in_registers=300)
SHAPES = [(7, 13), (40, 16), (3, 512), (1000,), (), (0, 4), (2, 403)]
SIZE = 200_003 if HAS_CUDA else 3_003


@pytest.fixture(params=BACKENDS)
def there(request: pytest.FixtureRequest) -> Place:
    return place(request.param)


def array(kind: str, size: int, dtype: torch.dtype) -> Tensor:
    values = torch.from_numpy(make(kind, size, np.dtype(np.float32)))
    return values.to(dtype)


def weights(dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    # Rounded, so that there are ties.
    return [(torch.randn(shape, generator=generator) * 8).round().div(8).to(dtype) for shape in SHAPES]


def row_lens(tensors: list[Tensor]) -> list[int]:
    return [math.prod(one.shape[1:] if one.ndim > 1 else one.shape) if one.numel() else 0 for one in tensors]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_is_selected_as_by_the_core(kind: str, dtype: torch.dtype, there: Place) -> None:
    skip_where_interpreted(there, unless=dtype == torch.float32)
    values = array(kind, SIZE, dtype)
    ratios = (0.9,) if there.is_interpreted else (0.0, 1.0, 1 / SIZE, 0.5, 0.9, 0.99)
    for ratio in ratios:
        count = round(ratio * SIZE)
        found = _gpu.select_(
            there.put([values]), num_pruned=[count], nan="keep", backend=there.backend, tuning=TUNING
        )
        assert_masks(found, [rustprune.mask(values, count=count, nan="keep")])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("score", ["magnitude", "value"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_each_tensor_is_selected_as_by_the_core(
    *, dtype: torch.dtype, score: Literal["magnitude", "value"], packed: bool, there: Place
) -> None:
    skip_where_interpreted(there, unless=packed == (score == "value"))
    tensors = weights(dtype)
    counts = [one.numel() // 2 for one in tensors]
    core = rustprune.mask if score == "magnitude" else rustprune.select
    found = _gpu.select_(
        there.put(tensors),
        num_pruned=counts,
        score=score,
        packed=packed,
        backend=there.backend,
        tuning=TUNING,
    )
    expected = [core(one, count=count) for one, count in zip(tensors, counts, strict=True)]
    assert_masks(found, expected, packed=packed)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_each_row_is_selected_as_by_the_core(*, dtype: torch.dtype, packed: bool, there: Place) -> None:
    skip_where_interpreted(there, unless=packed or dtype == torch.float32)
    tensors = weights(dtype)
    counts = [length // 3 for length in row_lens(tensors)]
    found = _gpu.select_(
        there.put(tensors),
        num_pruned=counts,
        rows=True,
        packed=packed,
        backend=there.backend,
        tuning=TUNING,
    )
    expected = [
        rustprune.mask(one, count=count, scope="row") for one, count in zip(tensors, counts, strict=True)
    ]
    assert_masks(found, expected, packed=packed)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", [*DTYPES, None], ids=str)
def test_all_tensors_together_are_selected_as_by_the_core(
    *, dtype: torch.dtype | None, packed: bool, there: Place
) -> None:
    skip_where_interpreted(there, unless=packed)
    if dtype is None:
        tensors = [array("normal", 300, each) for each in DTYPES]
        tensors += [array("nan and infinity", 50, each) for each in DTYPES]
    else:
        tensors = weights(dtype)
    count = sum(one.numel() for one in tensors) // 3
    kinds: list[tuple[Literal["magnitude", "value"], Nan]] = [("magnitude", "keep"), ("value", "prune")]
    for score, nan in kinds:
        found = _gpu.select_(
            there.put(tensors),
            num_pruned=count,
            score=score,
            nan=nan,
            packed=packed,
            backend=there.backend,
            tuning=TUNING,
        )
        core = rustprune.mask if score == "magnitude" else rustprune.select
        assert_masks(found, core(tensors, count=count, scope="global", nan=nan), packed=packed)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("pattern", ["2:4", "1:8", "3:7", "16:32", "1:1"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_groups_are_selected_as_by_the_core(
    *, dtype: torch.dtype, pattern: str, packed: bool, there: Place
) -> None:
    skip_where_interpreted(there, unless=packed != (dtype == torch.float32))
    kept, group = map(int, pattern.split(":"))
    tensors = [array(kind, 3 * 64 * group, dtype) for kind in ("normal", "255 levels", "zeros of both signs")]
    # Whole programs, which load 16 bytes at once, and some that are not whole.
    for some in (tensors, [array("normal", 2048 * group, dtype)]):
        found = _gpu.select_(there.put(some), pattern=(kept, group), packed=packed, backend=there.backend)
        assert_masks(found, rustprune.mask(some, pattern=pattern), packed=packed)


@pytest.mark.parametrize("packed", [True, False])
def test_groups_along_input_channels_are_selected_as_by_the_core(*, packed: bool, there: Place) -> None:
    tensors = [array("255 levels", 4 * 6 * 9, torch.float32).view(4, 6, 3, 3), torch.ones(2, 3, 1, 1)]
    found = _gpu.select_(
        there.put(tensors), pattern=(1, 3), strides=[9, 1], packed=packed, backend=there.backend
    )
    assert_masks(found, rustprune.mask(tensors, pattern=rustprune.NofM(1, 3, axis=1)), packed=packed)


@pytest.mark.parametrize("nan", ["keep", "prune"])
@pytest.mark.parametrize("ask", ["row", "tensor", "global", "2:4"])
def test_existing_masks_and_nan_are_treated_as_by_the_core(ask: str, nan: Nan, there: Place) -> None:
    # Rows of 403 begin inside the bytes of the existing mask; fours do not divide them.
    shapes = [(5, 64), (1200,), (3, 4, 52), *([(3, 403)] if ask != "2:4" else [])]
    tensors = [array("nan and infinity", math.prod(shape), torch.float32).view(shape) for shape in shapes]
    where = [rustprune.random_mask(shape, 0.25, seed=9) for shape in shapes]
    core: dict[str, Any] = {"where": [torch.from_numpy(one) for one in where], "nan": nan}
    ours: dict[str, Any] = {"where": there.bits(where), "nan": nan, "backend": there.backend}
    if ask == "2:4":
        core["pattern"], ours["pattern"] = ask, (2, 4)
        expected = rustprune.mask(tensors, **core)
    elif ask == "global":
        core["count"] = ours["num_pruned"] = 1700
        expected = rustprune.mask(tensors, scope="global", **core)
    else:
        core["ratio"], core["scope"] = 0.5, ask
        expected = rustprune.mask(tensors, **core)
        lengths = row_lens(tensors) if ask == "row" else [one.numel() for one in tensors]
        ours["num_pruned"], ours["rows"] = [round(0.5 * length) for length in lengths], ask == "row"
    assert_masks(_gpu.select_(there.put(tensors), tuning=TUNING, **ours), expected)


FORCED = {
    "a bracket that keeps too few": Tuning(block=512, chunk=2048, in_registers=0, spread=0.5, shift=-0.3),
    "a bracket that keeps too many": Tuning(block=512, chunk=2048, in_registers=0, spread=0.5, shift=0.3),
    "no room for candidates": Tuning(block=512, chunk=2048, in_registers=0, room=0.0),
    "no width": Tuning(block=512, chunk=2048, in_registers=0, spread=0.0),
}


@pytest.mark.parametrize("tuning", FORCED.values(), ids=FORCED)
@pytest.mark.parametrize("kind", ["normal", "60 % zeros", "constant", "sorted"])
def test_a_failed_guess_changes_nothing(kind: str, tuning: Tuning, there: Place) -> None:
    skip_where_interpreted(there, unless=kind in {"normal", "constant"})
    tensors = [array(kind, size, torch.float32) for size in (1501, 900, 2000)]
    counts = [one.numel() // 3 for one in tensors]
    found = _gpu.select_(there.put(tensors), num_pruned=counts, backend=there.backend, tuning=tuning)
    expected = [rustprune.mask(one, count=count) for one, count in zip(tensors, counts, strict=True)]
    assert_masks(found, expected)
    together = _gpu.select_(there.put(tensors), num_pruned=1500, backend=there.backend, tuning=tuning)
    assert_masks(together, rustprune.mask(tensors, count=1500, scope="global"))


@WRAPS
def test_a_bracket_far_off_is_missed_and_one_around_the_cut_is_not() -> None:
    from rustprune.torch._gpu._formats import FORMATS, KeySpace
    from rustprune.torch._gpu._large import Contest, Large, Segment

    there = Place("triton", "cuda" if HAS_CUDA else "cpu")
    [values] = there.put([array("normal", 3003, torch.float32)])
    mask = torch.empty(3003, dtype=torch.uint8, device=there.device)
    contest = Contest([Segment(values, mask, FORMATS[values.dtype].code)], 1500)
    for tuning, missed in ((TUNING, 0), *((forced, 1) for forced in list(FORCED.values())[:3])):
        flag = torch.zeros(1, dtype=torch.int32, device=there.device)
        space = KeySpace.of([values.dtype], signed=False)
        large = Large([contest], space, nan="keep", packed=False, nan_flag=flag, tuning=tuning)
        large.run()
        assert large.missed.tolist() == [missed, missed]


def test_weights_and_masks_at_odd_addresses_are_read_and_written(there: Place) -> None:
    [values] = there.put([array("normal", 5001, torch.float32)])
    tensors = [values[1:], values[3:2500], values[:4096]]
    found = _gpu.select_(
        tensors, num_pruned=[2000, 1000, 3000], packed=False, backend=there.backend, tuning=TUNING
    )
    expected = [
        rustprune.mask(one.cpu(), count=count) for one, count in zip(tensors, (2000, 1000, 3000), strict=True)
    ]
    assert_masks(found, expected, packed=False)


@pytest.mark.parametrize("size", [5, 3003])
def test_nan_is_an_error_that_names_the_first(size: int, there: Place) -> None:
    good, bad = torch.ones(size), torch.ones(size)
    bad[4] = bad[3] = math.nan
    ask: dict[str, Any] = {
        "num_pruned": [1, 1],
        "names": ["a", "b"],
        "backend": there.backend,
        "tuning": TUNING,
    }
    with pytest.raises(ValueError, match=r'^b: expected no NaN, got one at flat index 3; pass nan="keep"'):
        _gpu.select_(there.put([good, bad]), **ask)
    masked = torch.ones(size, dtype=torch.bool)
    masked[3:5] = False
    ask["num_pruned"] = [2, 2]
    _gpu.select_(there.put([good, bad]), where=there.bits([masked.numpy()] * 2), **ask)


def test_nothing_is_selected_of_nothing(there: Place) -> None:
    assert _gpu.select_([], num_pruned=[], backend=there.backend) == []
    empty = there.put([torch.ones(0), torch.ones(0, 3)])
    assert [one.numel() for one in _gpu.select_(empty, num_pruned=0, backend=there.backend)] == [0, 0]


@pytest.mark.skipif(not HAS_CUDA, reason="no GPU")
@pytest.mark.parametrize(
    "ask", [{"num_pruned": 300_000}, {"num_pruned": [200_000, 500, 90_000]}, {"pattern": (2, 4)}]
)
def test_a_graph_holds_a_run_and_answers_for_new_values(ask: dict[str, Any]) -> None:
    tensors = [torch.randn(size, device="cuda") for size in (400_000, 1000, 200_000)]
    selection = _gpu.Selection(tensors, nan="keep", **ask)
    selection.run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        before = torch.cuda.memory_stats()["allocation.all.allocated"]
        masks = selection.run()
        assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
    for seed in range(3):
        for number, one in enumerate(tensors):
            one.copy_(array("normal", one.numel(), torch.float32).roll(seed * 17 + number))
        graph.replay()
        expected = _gpu.select_([one.cpu() for one in tensors], nan="keep", backend="operations", **ask)
        for one, other in zip(masks, expected, strict=True):
            assert torch.equal(one.cpu(), other)
