"""Every kind, layout and container of arrays goes in, and the right one comes out."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_type

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import rustprune
from inputs import make
from strategies import DTYPES, Bools, Exporter, Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from rustprune._request import Scope

F32 = np.dtype(np.float32)
TORCH = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}


def tensor(array: Weights) -> torch.Tensor:
    """Return the same bits as a tensor."""
    words = np.ascontiguousarray(array).view(f"u{array.itemsize}").reshape(array.shape)
    return torch.from_numpy(words).view(TORCH[array.dtype.name])


def mask_of(array: Weights) -> Bools:
    return rustprune.mask(array, 0.5)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (5,), (4, 9), (2, 3, 5)])
def test_tensors_give_tensors_with_the_masks_of_arrays(
    shape: tuple[int, ...], dtype: np.dtype[np.generic], *, packed: bool
) -> None:
    array = make("normal", int(np.prod(shape)), dtype).reshape(shape)
    expected = rustprune.mask(array, 0.5, packed=packed)
    found = rustprune.mask(tensor(array), 0.5, packed=packed)
    assert found.dtype == (torch.uint8 if packed else torch.bool)
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_are_pruned_in_place_as_arrays_are(dtype: np.dtype[np.generic]) -> None:
    array = make("normal", 70_000, dtype)
    changed = tensor(array.copy())
    memory = changed.data_ptr()
    assert rustprune.prune_(changed, 0.5) == rustprune.prune_(array, 0.5)
    assert changed.data_ptr() == memory
    assert torch.equal(changed.view(torch.uint8), tensor(array).view(torch.uint8))


LAYOUTS: dict[str, Callable[[Weights], Weights]] = {
    "every other entry": lambda array: array[::2],
    "backwards": lambda array: array[::-1],
    "transposed": lambda array: array.reshape(30, 40).T,
    "columns": lambda array: array.reshape(30, 40)[:, 3:17],
    "axes in another order": lambda array: array.reshape(10, 12, 10).transpose(2, 0, 1),
    "column-major": lambda array: np.asfortranarray(array.reshape(30, 40)),
    "one entry many times": lambda array: np.broadcast_to(array[:1], (4, 5)),
    "unaligned": lambda array: np.frombuffer(b"-" + array.tobytes(), array.dtype, offset=1),
    "a matrix": lambda array: array.reshape(30, 40).view(np.matrix),
}


@pytest.mark.parametrize(
    "dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2]
)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_the_layout_does_not_change_the_mask(layout: str, dtype: type[np.generic]) -> None:
    array = LAYOUTS[layout](make("normal", 1200, np.dtype(dtype)))
    found = mask_of(array)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, mask_of(np.array(array, order="C", subok=False)), strict=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_the_byte_order_does_not_change_the_mask(dtype: type[np.generic]) -> None:
    array = make("normal", 1200, np.dtype(dtype))
    swapped = array.view(f"u{array.itemsize}").byteswap().view(array.dtype.newbyteorder())
    assert swapped.tobytes() != array.tobytes()
    np.testing.assert_array_equal(mask_of(swapped), mask_of(array))


def test_a_tensor_of_any_layout_is_read_and_changed() -> None:
    array = make("normal", 1200, F32).reshape(30, 40)
    changed = torch.from_numpy(array.copy())
    np.testing.assert_array_equal(rustprune.mask(changed.T, 0.5).numpy(), mask_of(array.T))
    rustprune.prune_(changed.T, 0.5)
    np.testing.assert_array_equal(changed.numpy(), np.where(mask_of(array.T).T, array, 0.0))


def test_a_parameter_gives_a_plain_tensor() -> None:
    found = rustprune.mask(torch.nn.Parameter(torch.arange(4.0)), 0.5)
    assert type(found) is torch.Tensor
    assert found.tolist() == [False, False, True, True]


def test_read_only_and_memory_mapped_arrays_are_read(tmp_path: pathlib.Path) -> None:
    array = make("normal", 1200, F32)
    np.save(tmp_path / "weights.npy", array)
    mapped = np.load(tmp_path / "weights.npy", mmap_mode="r")
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mask_of(mapped), mask_of(array))


def test_what_speaks_dlpack_gives_arrays() -> None:
    array = make("normal", 1200, F32).reshape(30, 40)
    found = rustprune.mask(Exporter(array), 0.5)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, mask_of(array))
    changed = array.copy()
    rustprune.prune_(Exporter(changed), 0.5)
    np.testing.assert_array_equal(changed, np.where(found, array, 0.0))
    rustprune.apply_(Exporter(changed), Exporter(~found))
    assert not changed.any()


def test_a_container_gives_its_like() -> None:
    array = make("normal", 64, F32)
    other = tensor(array)
    found = rustprune.mask([array, other], 0.5)
    assert [type(mask) for mask in found] == [np.ndarray, torch.Tensor]
    assert type(found) is list
    assert type(rustprune.mask((array,), 0.5)) is tuple
    assert type(rustprune.mask(collections.deque([array]), 0.5)) is list
    mapping = rustprune.mask(collections.OrderedDict(b=array, a=array), 0.5)
    assert type(mapping) is dict
    assert list(mapping) == ["b", "a"]
    assert type(rustprune.prune_({"a": array}, 0.5)) is dict
    assert type(rustprune.prune_((array,), 0.5)) is tuple
    assert type(rustprune.prune_([array], 0.5)) is list


def test_static_types_follow_the_arrays_and_the_container() -> None:
    array, kept = np.ones(4, np.float32), torch.ones(4)
    packed: bool = array.size > 8
    assert_type(rustprune.mask(array, 0.5), Bools)
    assert_type(rustprune.mask(array, 0.5, packed=True), NDArray[np.uint8])
    assert_type(rustprune.mask(array, 0.5, packed=packed), Bools | NDArray[np.uint8])
    assert_type(rustprune.mask(kept, 0.5, packed=packed), torch.Tensor)
    assert_type(rustprune.mask({"a": array}, 0.5), dict[str, Bools])
    assert_type(rustprune.mask({"a": kept}, 0.5, scope="global"), dict[str, torch.Tensor])
    assert_type(rustprune.select([array], 0.5), Sequence[Bools])
    assert_type(rustprune.select((kept,), 0.5), Sequence[torch.Tensor])
    assert_type(rustprune.prune_({"a": kept}, 0.5), dict[str, rustprune.Summary])
    assert_type(rustprune.random_mask(4, 0.5, seed=0), Bools)
    assert_type(rustprune.unpack(rustprune.pack(kept > 0), 4), torch.Tensor)


@pytest.mark.parametrize("empty", [[], (), {}])
@pytest.mark.parametrize("scope", ["row", "tensor", "global"])
def test_an_empty_container_gives_an_empty_one(empty: list[Weights], scope: Scope) -> None:
    assert rustprune.mask(empty, 0.5, scope=scope) == empty
    assert isinstance(rustprune.prune_(empty, 0.5, scope=scope), type(empty))
    rustprune.apply_(empty, empty)


def test_a_state_dict_is_pruned_in_place() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(40, 30), torch.nn.Linear(30, 10))
    weights = {name: weight for name, weight in model.named_parameters() if weight.ndim > 1}
    summaries = rustprune.prune_(weights, 0.9, scope="global")
    assert list(summaries) == ["0.weight", "1.weight"]
    assert sum(int((weight == 0).sum()) for weight in weights.values()) == 1350
    state = model.state_dict()
    masks = rustprune.mask({name: state[name] for name in weights}, 0.9, scope="global")
    assert all(torch.equal(masks[name], state[name] != 0) for name in weights)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_out_is_written_and_returned(kind: Callable[[Weights], Weights], *, packed: bool) -> None:
    array = make("normal", 1230, F32).reshape(30, 41)
    expected = rustprune.mask(array, 0.5, packed=packed)
    out = kind(np.full_like(expected, 1))
    assert rustprune.mask(array, 0.5, packed=packed, out=out) is out
    np.testing.assert_array_equal(np.asarray(out), expected, strict=True)
    outs = {"b": kind(np.full_like(expected, 1)), "a": kind(np.full_like(expected, 1))}
    found = rustprune.mask({"a": array, "b": -2.0 * array}, 0.5, packed=packed, scope="global", out=outs)
    assert found is outs
    ones = rustprune.mask([array, -2.0 * array], 0.5, packed=packed, scope="global")
    for name, right in zip("ab", ones, strict=True):
        np.testing.assert_array_equal(np.asarray(outs[name]), right, strict=True)


def test_out_is_untouched_when_the_request_is_bad() -> None:
    out = np.ones(4, np.bool_)
    with pytest.raises(ValueError, match="NaN"):
        rustprune.mask(np.array([1.0, 2.0, 3.0, np.nan]), 0.5, out=out)
    assert out.all()


@pytest.mark.parametrize("kind", [np.asarray, rustprune.pack, torch.from_numpy, Exporter])
def test_an_existing_mask_may_be_of_any_kind(kind: Callable[[Bools], Bools]) -> None:
    array = make("normal", 1230, F32).reshape(30, 41)
    where = make("normal", 1230, F32).reshape(30, 41) > -0.5
    expected = rustprune.mask(array, 0.7, where=where)
    assert not (expected & ~where).any()
    np.testing.assert_array_equal(rustprune.mask(array, 0.7, where=kind(where)), expected)
    np.testing.assert_array_equal(rustprune.mask(array, 0.7, where=kind(np.asfortranarray(where))), expected)
    np.testing.assert_array_equal(rustprune.mask([array], 0.7, where=(kind(where),))[0], expected)
    np.testing.assert_array_equal(rustprune.mask({"a": array}, 0.7, where={"a": kind(where)})["a"], expected)


def test_nan_is_not_looked_at_where_the_existing_mask_prunes() -> None:
    array, where = np.array([np.nan, 1.0, 2.0]), np.array([False, True, True])
    assert rustprune.mask(array, count=2, where=where).tolist() == [False, False, True]


def test_weights_are_not_changed_by_mask() -> None:
    array = make("nan and infinity", 1200, F32)
    before = array.tobytes()
    rustprune.mask(array, 0.5, nan="keep")
    rustprune.select(array, 0.5, nan="prune")
    assert array.tobytes() == before
