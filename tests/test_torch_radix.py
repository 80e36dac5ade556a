"""Selection by digits over parts of tensors: the same bits as from the core over the whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rustprune as rp
import rustprune.torch as rpt
from rustprune.torch import _bits, _radix
from rustprune.torch._radix import Part
from strategies import Ask, Weights, requests

if TYPE_CHECKING:
    from torch import Tensor

    from rustprune._request import Nan


def tensor(array: Weights) -> Tensor:
    """Return an array of any float format as a tensor."""
    words = torch.from_numpy(np.array(array).view(f"i{array.dtype.itemsize}"))
    return words.view(getattr(torch, array.dtype.name))


def cut(name: str, whole: Tensor, kept: Tensor | None, pieces: list[list[Tensor]]) -> list[Part]:
    """Return the parts that lie at these indices, axis by axis."""
    parts = []
    for indices in pieces:
        part, mask = whole, kept
        for axis, at in enumerate(indices):
            part = part.view(_WORD[part.dtype.itemsize]).index_select(axis, at).view(whole.dtype)
            mask = None if mask is None else mask.index_select(axis, at)
        where = None if mask is None else _bits.pack(mask)
        parts.append(Part(name, whole.shape, part, indices, where=where))
    return parts


_WORD = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@st.composite
def cuts(draw: st.DrawFn, shape: tuple[int, ...]) -> list[list[Tensor]]:
    """Give the indices of the parts of a tensor, each axis cut at random, evenly or not, or strided."""
    pieces: list[list[Tensor]] = [[]]
    for length in shape:
        number = draw(st.integers(1, 3))
        owner = torch.tensor(draw(st.lists(st.integers(0, number - 1), min_size=length, max_size=length)))
        if draw(st.booleans()):
            owner = owner.sort().values
        axis = [(owner == one).nonzero().view(-1) for one in range(number)]
        pieces = [[*piece, at] for piece in pieces for at in axis]
    return pieces


@given(st.data(), requests(), st.sampled_from(["mask", "select"]), st.sampled_from([4, 8]))
def test_parts_get_the_bits_that_the_core_gives_the_whole(
    data: st.DataObject, request: tuple[list[Weights], Ask], by: str, digit: int
) -> None:
    arrays, ask = request
    wholes = {f"w{number}": tensor(array) for number, array in enumerate(arrays)}
    where = {f"w{number}": torch.from_numpy(kept) for number, kept in enumerate(ask.get("where", []))}
    total = sum(whole.numel() for whole in wholes.values())
    count = ask["count"] if "count" in ask else rp.num_pruned(total, ask["ratio"])
    count = max(min(count, total), sum(int((~mask).sum()) for mask in where.values()))
    nan: Nan = ask["nan"]
    options: dict[str, Any] = {"count": count, "scope": "global", "nan": nan, "where": where or None}
    expected = rp.select(wholes, **options) if by == "select" else rp.mask(wholes, **options)
    parts = [
        part
        for name, whole in wholes.items()
        for part in cut(name, whole, where.get(name), data.draw(cuts(tuple(whole.shape))))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_radix, "_DIGIT", digit)  # small ones are quicker on arrays this small
        found = _radix.select(parts, count, nan, signed=by == "select")
    for part, bits in zip(parts, found, strict=True):
        mask = expected[part.name]
        for axis, at in enumerate(part.coordinates or ()):
            mask = mask.index_select(axis, at)
        assert torch.equal(bits, _bits.pack(mask))


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tensor(np.random.default_rng(0).integers(-2, 3, 1001).astype(np.float32))
    monkeypatch.setattr(_radix, "_CHUNK", 64)
    for count in (0, 1, 300, 500, 1001):
        [bits] = _radix.select([Part("w", whole.shape, whole)], count, "raise", signed=False)
        assert torch.equal(bits, rp.mask(whole, count=count, packed=True))


def test_subnormals_are_told_apart_when_the_machine_flushes_them() -> None:
    small = torch.arange(16, dtype=torch.int32).view(torch.float32)
    tiny = torch.arange(16, dtype=torch.int16).view(torch.bfloat16)
    expected = rp.mask({"a": small, "b": tiny}, 0.6, scope="global", packed=True)
    if not torch.set_flush_denormal(True):
        pytest.skip("this machine flushes no subnormals")
    try:
        parts = [Part("a", small.shape, small), Part("b", tiny.shape, tiny)]
        found = _radix.select(parts, rp.num_pruned(32, 0.6), "raise", signed=False)
    finally:
        torch.set_flush_denormal(False)
    assert all(torch.equal(bits, mask) for bits, mask in zip(found, expected.values(), strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.parametrize(
    "options", [{"scope": "global"}, {}, {"scope": "row"}, {"method": "random", "seed": 1}]
)
def test_a_model_on_several_devices_gets_the_masks_of_one_on_the_cpu(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(300, 200), torch.nn.Linear(200, 100))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 256).round() / 256)
    expected = rpt.masks(model, 0.6, **options)
    model[1].to("cuda")
    assert rpt.masks(model, 0.6, **options) == expected
    report = rpt.prune(model, 0.6, **options)
    assert [target.num_nonzero for target in report.targets] <= [target.num_kept for target in report.targets]


@pytest.mark.parametrize(
    ("count", "nan", "where"),
    [
        (9, "keep", None),
        (0, "keep", [True, False, True, True]),
        (2, "raise", None),
        (2, "raise", [False, True]),
    ],
)
def test_errors_are_those_of_the_core(count: int, nan: Nan, where: list[bool] | None) -> None:
    first, second = torch.tensor([1.0, 2.0]), torch.tensor([3.0, torch.nan, torch.nan, 4.0])
    wholes = {"a": first, "b": second}
    masks: dict[str, Tensor] = {}
    if where is not None:
        masks = {name: torch.tensor((where * 2)[: len(whole)]) for name, whole in wholes.items()}
    with pytest.raises(ValueError, match=r"expected|must") as core:
        rp.mask(wholes, count=count, scope="global", nan=nan, where=masks or None)
    halves = [torch.tensor([0, 2]), torch.tensor([1, 3])]
    parts = [
        *cut("a", first, masks.get("a"), [[torch.tensor([0, 1])]]),
        *cut("b", second, masks.get("b"), [[half] for half in halves]),
    ]
    with pytest.raises(ValueError, match=f"^{re.escape(str(core.value))}$"):
        _radix.select(parts, count, nan, signed=False)
