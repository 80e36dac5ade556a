//! Arrays of `NumPy` as the core sees them: flat, of unsigned integers, with the name of their float format.

use numpy::{
    PyArrayDescrMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::Borrowed;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::dtype::DType;
use crate::mask::{Output, packed_len};
use crate::source::{Array, Bits};

/// A borrowed array of one of the four widths.
pub(super) enum Entries<'py> {
    W8(PyReadonlyArrayDyn<'py, u8>),
    W16(PyReadonlyArrayDyn<'py, u16>),
    W32(PyReadonlyArrayDyn<'py, u32>),
    W64(PyReadonlyArrayDyn<'py, u64>),
}

/// Extracts the variant that the item size names: trying one after another would cost an exception for each miss.
macro_rules! extract_by_width {
    ($entries:ident) => {
        impl<'py> FromPyObject<'_, 'py> for $entries<'py> {
            type Error = PyErr;

            fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
                Ok(match object.cast::<PyUntypedArray>()?.dtype().itemsize() {
                    1 => Self::W8(object.extract()?),
                    2 => Self::W16(object.extract()?),
                    4 => Self::W32(object.extract()?),
                    _ => Self::W64(object.extract()?),
                })
            }
        }
    };
}
extract_by_width!(Entries);
extract_by_width!(EntriesMut);

impl Entries<'_> {
    pub fn bits(&self) -> PyResult<Bits<'_>> {
        Ok(match self {
            Self::W8(array) => Bits::W8(array.as_slice()?),
            Self::W16(array) => Bits::W16(array.as_slice()?),
            Self::W32(array) => Bits::W32(array.as_slice()?),
            Self::W64(array) => Bits::W64(array.as_slice()?),
        })
    }
}

/// A writable one.
pub(super) enum EntriesMut<'py> {
    W8(PyReadwriteArrayDyn<'py, u8>),
    W16(PyReadwriteArrayDyn<'py, u16>),
    W32(PyReadwriteArrayDyn<'py, u32>),
    W64(PyReadwriteArrayDyn<'py, u64>),
}

impl EntriesMut<'_> {
    fn bits(&self) -> PyResult<Bits<'_>> {
        Ok(match self {
            Self::W8(array) => Bits::W8(array.as_slice()?),
            Self::W16(array) => Bits::W16(array.as_slice()?),
            Self::W32(array) => Bits::W32(array.as_slice()?),
            Self::W64(array) => Bits::W64(array.as_slice()?),
        })
    }

    pub fn bytes_mut(&mut self) -> PyResult<&mut [u8]> {
        Ok(match self {
            Self::W8(array) => array.as_slice_mut()?,
            Self::W16(array) => bytemuck::cast_slice_mut(array.as_slice_mut()?),
            Self::W32(array) => bytemuck::cast_slice_mut(array.as_slice_mut()?),
            Self::W64(array) => bytemuck::cast_slice_mut(array.as_slice_mut()?),
        })
    }
}

/// The format of that name.
pub(super) fn dtype(name: &str) -> PyResult<DType> {
    DType::from_name(name).ok_or_else(|| PyTypeError::new_err(format!("expected a float format, got {name}")))
}

/// Existing masks as slices.
pub(super) fn kept_slices<'a>(
    kept: &'a [Option<PyReadonlyArrayDyn<'_, u8>>],
) -> PyResult<Vec<Option<&'a [u8]>>> {
    kept.iter().map(|kept| kept.as_ref().map(|kept| Ok(kept.as_slice()?)).transpose()).collect()
}

/// Arrays for the core from the lists of a call.
pub(super) fn arrays<'a>(
    names: Vec<String>,
    dtypes: &[impl AsRef<str>],
    bits: impl Iterator<Item = PyResult<Bits<'a>>>,
    kept: &[Option<&'a [u8]>],
) -> PyResult<Vec<Array<'a>>> {
    names
        .into_iter()
        .zip(dtypes)
        .zip(bits)
        .zip(kept)
        .map(|(((name, tag), bits), &kept)| {
            let (dtype, bits) = (dtype(tag.as_ref())?, bits?);
            if bits.width() != dtype.size() {
                return Err(PyTypeError::new_err(format!(
                    "{name}: {} does not fit {} bytes",
                    tag.as_ref(),
                    bits.width()
                )));
            }
            Ok(Array { name, dtype, bits, kept })
        })
        .collect()
}

pub(super) fn readable<'a>(bits: &'a [Entries<'_>]) -> impl Iterator<Item = PyResult<Bits<'a>>> {
    bits.iter().map(Entries::bits)
}

pub(super) fn writable<'a>(bits: &'a [EntriesMut<'_>]) -> impl Iterator<Item = PyResult<Bits<'a>>> {
    bits.iter().map(EntriesMut::bits)
}

/// Outputs for the core: flat bytes, or rows of bits. There is an array for each mask, or one block in which
/// each mask begins at the next multiple of 64 bytes.
pub(super) fn outputs<'a>(
    arrays: &'a mut [PyReadwriteArrayDyn<'_, u8>],
    shapes: &[Vec<usize>],
    packed: bool,
) -> PyResult<Vec<Output<'a>>> {
    let mut arrays = arrays.iter_mut().map(|array| array.as_slice_mut());
    let mut block = if shapes.len() > 1 && arrays.len() == 1 { arrays.next().transpose()? } else { None };
    let pairs = shapes.iter().map(|shape| {
        let (len, row_len) = (shape.iter().product(), last_axis(shape));
        let size = if packed { packed_len(len, row_len) } else { len };
        let bytes = match &mut block {
            None => arrays.next().transpose()?,
            Some(block) => {
                block.split_off_mut(..size.next_multiple_of(64)).and_then(|room| room.get_mut(..size))
            }
        };
        let bytes = bytes.ok_or_else(|| PyValueError::new_err("expected an output for each mask"))?;
        Ok(if packed { Output::Bits { bytes, row_len } } else { Output::Bytes(bytes) })
    });
    pairs.collect()
}

/// Entries along the last axis; an array without axes counts as one of one entry.
pub(super) fn last_axis(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(1)
}
