//! The header of a safetensors file, read strictly: names once, data without overlap, hole or rest.
//!
//! The layout: 8 bytes, the little-endian length of the header; the header, a JSON object; the data.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use safetensors::Dtype;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::checkpoint::defect::Defect;

/// Bytes of the header's length.
pub(super) const PREFIX: usize = 8;

/// The longest header that the safetensors library reads.
const MAX_HEADER: u64 = 100_000_000;

/// Name of the entry that is no tensor.
pub(super) const METADATA: &str = "__metadata__";

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its format.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where its data lies in the file.
    pub bytes: Range<u64>,
}

/// The header's length, from the first 8 bytes of a file of `file_len` bytes.
pub(super) fn header_len(prefix: [u8; PREFIX], file_len: u64) -> Result<usize, Defect> {
    let got = u64::from_le_bytes(prefix);
    let limit = file_len.saturating_sub(PREFIX as u64).min(MAX_HEADER);
    let len = (2..=limit).contains(&got).then(|| usize::try_from(got).ok()).flatten();
    len.ok_or(Defect::HeaderLength { got, limit })
}

/// The tensors of a header in the order of their data, of which the file holds `data_len` bytes.
pub(super) fn parse(header: &[u8], data_len: u64) -> Result<Vec<Tensor>, Defect> {
    let mut json = serde_json::Deserializer::from_str(std::str::from_utf8(header)?);
    let entries = json.deserialize_map(Entries)?;
    json.end()?;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        if name == METADATA {
            serde_json::from_value::<Option<BTreeMap<String, String>>>(value)
                .map_err(|_| Defect::Metadata)?;
        } else {
            tensors.push(tensor(name, &value)?);
        }
    }
    check_names(&tensors)?;
    tensors.sort_by_key(|tensor| (tensor.bytes.start, tensor.bytes.end));
    check_cover(&tensors, data_len)?;
    let data_start = (PREFIX + header.len()) as u64;
    for tensor in &mut tensors {
        tensor.bytes = data_start + tensor.bytes.start..data_start + tensor.bytes.end;
    }
    Ok(tensors)
}

/// The entries of an object in their order; a map would drop all but one of equal names.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// The tensor of one entry; its bytes count from the start of the data.
fn tensor(name: String, value: &Value) -> Result<Tensor, Defect> {
    let Some((tag, shape, begin, end)) = fields(value) else { return Err(Defect::Entry { tensor: name }) };
    let Ok(dtype) = serde_json::from_value::<Dtype>(Value::from(tag)) else {
        return Err(Defect::UnknownDtype { tensor: name, dtype: tag.to_owned() });
    };
    let entries = shape.iter().try_fold(1_usize, |entries, &len| entries.checked_mul(len));
    let bits = entries.and_then(|entries| entries.checked_mul(dtype.bitsize()));
    let Some(bits) = bits.filter(|bits| bits % 8 == 0) else { return Err(Defect::Shape { tensor: name }) };
    let expected = bits as u64 / 8;
    if end.checked_sub(begin) != Some(expected) {
        return Err(Defect::Span { tensor: name, expected, begin, end });
    }
    Ok(Tensor { name, dtype, shape, bytes: begin..end })
}

fn fields(value: &Value) -> Option<(&str, Vec<usize>, u64, u64)> {
    let shape = value.get("shape")?.as_array()?;
    let shape = shape.iter().map(|len| usize::try_from(len.as_u64()?).ok()).collect::<Option<_>>()?;
    let [begin, end] = value.get("data_offsets")?.as_array()?.as_slice() else { return None };
    Some((value.get("dtype")?.as_str()?, shape, begin.as_u64()?, end.as_u64()?))
}

fn check_names(tensors: &[Tensor]) -> Result<(), Defect> {
    let mut names: Vec<_> = tensors.iter().map(|tensor| &tensor.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Defect::Duplicate { tensor: pair[0].clone() }),
        None => Ok(()),
    }
}

/// Checks that tensors in the order of their data cover exactly `data_len` bytes.
fn check_cover(tensors: &[Tensor], data_len: u64) -> Result<(), Defect> {
    let mut expected = 0;
    for Tensor { name, bytes, .. } in tensors {
        if bytes.start != expected {
            return Err(Defect::Begin { tensor: name.clone(), expected, got: bytes.start });
        }
        if bytes.end > data_len {
            return Err(Defect::PastEnd { tensor: name.clone(), end: bytes.end, data_len });
        }
        expected = bytes.end;
    }
    if expected == data_len { Ok(()) } else { Err(Defect::Trailing { expected, got: data_len }) }
}

#[cfg(test)]
mod tests;
