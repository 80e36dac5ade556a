"""`pack` and `unpack`: NumPy's layout, there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp

import rustprune
from strategies import SHAPES, Bools

masks = hnp.arrays(np.bool_, SHAPES)


@given(masks)
def test_packing_is_that_of_numpy(mask: Bools) -> None:
    expected = np.packbits(np.atleast_1d(mask), axis=-1, bitorder="little")
    np.testing.assert_array_equal(rustprune.pack(mask), expected, strict=True)


@given(masks)
def test_unpacking_undoes_packing(mask: Bools) -> None:
    np.testing.assert_array_equal(rustprune.unpack(rustprune.pack(mask), mask.shape), mask, strict=True)


@given(masks)
def test_tensors_are_packed_to_tensors(mask: Bools) -> None:
    packed = rustprune.pack(torch.from_numpy(mask))
    assert packed.dtype == torch.uint8
    np.testing.assert_array_equal(packed.numpy(), rustprune.pack(mask), strict=True)
    unpacked = rustprune.unpack(packed, mask.shape)
    assert unpacked.dtype == torch.bool
    np.testing.assert_array_equal(unpacked.numpy(), mask, strict=True)


def test_the_first_entry_is_the_lowest_bit() -> None:
    mask = np.array([[1, 0, 1, 1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0, 0, 1, 0]], np.bool_)
    assert rustprune.pack(mask).tolist() == [[13, 1], [130, 0]]


def test_a_mask_without_axes_is_one_byte() -> None:
    packed = rustprune.pack(np.array(True))
    assert (packed.tolist(), rustprune.unpack(packed, ()).tolist()) == ([1], True)


def test_any_layout_is_packed() -> None:
    mask = np.arange(60).reshape(5, 12) % 7 < 3
    np.testing.assert_array_equal(rustprune.pack(mask.T), rustprune.pack(mask.T.copy()))
    packed = rustprune.pack(mask)
    np.testing.assert_array_equal(rustprune.unpack(np.asfortranarray(packed), mask.shape), mask)


def test_a_shape_of_one_axis_may_be_an_int() -> None:
    assert rustprune.unpack(np.array([5], np.uint8), 3).tolist() == [True, False, True]


@pytest.mark.parametrize("length", range(1, 18))
def test_a_bit_in_the_padding_is_an_error(length: int) -> None:
    full = rustprune.pack(np.ones((2, length), np.bool_))
    assert rustprune.unpack(full, (2, length)).all()
    if length % 8:
        full[1, -1] |= 1 << (length % 8)
        with pytest.raises(ValueError, match=r"^bits: expected padding bits of 0, got others$"):
            rustprune.unpack(full, (2, length))
