//! The mask side file: the masks of many tensors, a bit per entry, as safetensors.
//!
//! For each target one `U8` tensor of its name and of shape (R, ceil(C / 8)), the matrix view with each row
//! padded to a whole byte: bit j of byte b is column 8 b + j, 1 = kept, padding is 0. The metadata says which
//! weights the masks were made from, and how.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use crate::checkpoint::header::{METADATA, PREFIX};
use crate::checkpoint::staged::Staged;
use crate::checkpoint::targets::Targets;
use crate::error::Result;
use crate::mask::packed_len;
use crate::source::Source;

/// Name and version of the layout.
const FORMAT: &str = "mask/1";

/// What is before every key of the metadata.
const KEY: &str = "rustprune.";

/// A mask side file that is being written.
#[derive(Debug)]
pub(super) struct Masks {
    staged: Staged,
    parts: Vec<Rows>,
    /// Bytes that two pieces share, to be joined at the end.
    shared: Mutex<Vec<(u64, u8)>>,
}

/// Where the packed rows of a part are.
#[derive(Debug, Clone, Copy)]
struct Rows {
    position: u64,
    row_len: usize,
}

impl Masks {
    /// A file for all targets with its header written; `notes` are more metadata, by key.
    pub fn create(
        path: &Path,
        targets: &Targets<'_>,
        num_kept: &[u64],
        digest: &str,
        notes: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let (header, lens) = header(targets, num_kept, digest, notes);
        let mut position = PREFIX + header.len() as u64;
        let mut parts = Vec::with_capacity(lens.len());
        for (part, len) in lens.into_iter().enumerate() {
            parts.push(Rows { position, row_len: targets.get(part).layout().row_len });
            position += len as u64;
        }
        let staged = Staged::create(path, position)?;
        staged.write(&(header.len() as u64).to_le_bytes(), 0)?;
        staged.write(header.as_bytes(), PREFIX)?;
        Ok(Self { staged, parts, shared: Mutex::default() })
    }

    /// Writes the bits of the `len` entries of a part from `start` on; `bytes` is memory to work in.
    pub fn write(&self, part: usize, start: usize, len: usize, words: &[u64], bytes: &mut Vec<u8>) -> Result<()> {
        let Rows { position, row_len } = self.parts[part];
        bytes.clear();
        let first = pack_rows(words, start, len, row_len, bytes);
        let mut position = position + first as u64;
        let mut whole = bytes.as_slice();
        let mut shared = Vec::new();
        let end_column = (start + len) % row_len;
        if end_column % 8 != 0 && let Some((last, rest)) = whole.split_last() {
            shared.push((position + rest.len() as u64, *last));
            whole = rest;
        }
        if start % row_len % 8 != 0 && let Some((first, rest)) = whole.split_first() {
            shared.push((position, *first));
            (position, whole) = (position + 1, rest);
        }
        if !shared.is_empty() && let Ok(mut all) = self.shared.lock() {
            all.append(&mut shared);
        }
        self.staged.write(whole, position)
    }

    /// The file, complete.
    pub fn finish(self) -> Result<Staged> {
        let mut shared = self.shared.into_inner().unwrap_or_default();
        shared.sort_unstable();
        for bytes in shared.chunk_by(|a, b| a.0 == b.0) {
            let joined = bytes.iter().fold(0, |joined, (_, byte)| joined | byte);
            self.staged.write(&[joined], bytes[0].0)?;
        }
        Ok(self.staged)
    }
}

/// The header, padded so that the data is aligned, and the bytes of each part.
fn header(
    targets: &Targets<'_>,
    num_kept: &[u64],
    digest: &str,
    notes: &BTreeMap<String, String>,
) -> (String, Vec<usize>) {
    let mut entries = Map::new();
    let (mut shapes, mut counts) = (Map::new(), Map::new());
    let (mut begin, mut lens) = (0, Vec::with_capacity(num_kept.len()));
    for (part, &num_kept) in num_kept.iter().enumerate() {
        let target = targets.get(part);
        let (name, shape) = (target.tensor.name.clone(), &target.tensor.shape);
        let (len, row_len) = (targets.len(part), target.layout().row_len);
        let size = packed_len(len, row_len);
        let num_rows = len.checked_div(row_len).unwrap_or(shape.first().copied().unwrap_or(1));
        entries.insert(
            name.clone(),
            json!({"dtype": "U8", "shape": [num_rows, row_len.div_ceil(8)], "data_offsets": [begin, begin + size]}),
        );
        shapes.insert(name.clone(), json!(shape));
        counts.insert(name, json!(num_kept));
        begin += size;
        lens.push(size);
    }
    let facts = [
        ("format", FORMAT.to_owned()),
        ("shapes", Value::from(shapes).to_string()),
        ("num_kept", Value::from(counts).to_string()),
        ("source_sha256", digest.to_owned()),
    ];
    let notes = notes.iter().map(|(key, value)| (key.as_str(), value.clone()));
    let metadata: Map<_, _> =
        notes.chain(facts).map(|(key, value)| (format!("{KEY}{key}"), Value::from(value))).collect();
    entries.insert(METADATA.to_owned(), Value::from(metadata));
    let mut text = Value::from(entries).to_string();
    let padding = text.len().next_multiple_of(PREFIX as usize) - text.len();
    text.extend(std::iter::repeat_n(' ', padding));
    (text, lens)
}

/// Appends the bits of the entries from `start` on to `bytes`, as bytes of rows of `row_len` entries, and
/// returns the number of the first of these bytes. Bits of other entries in the first and last byte are 0.
fn pack_rows(words: &[u64], start: usize, len: usize, row_len: usize, bytes: &mut Vec<u8>) -> usize {
    let first = start / row_len * row_len.div_ceil(8) + start % row_len / 8;
    let mut at = 0;
    while at < len {
        let column = (start + at) % row_len;
        let end = len.min(at + row_len - column);
        let skipped = column % 8;
        if skipped > 0 {
            let count = (8 - skipped).min(end - at);
            bytes.push((bits(words, at, count) << skipped) as u8);
            at += count;
        }
        while at < end {
            let count = (end - at).min(64);
            bytes.extend_from_slice(&bits(words, at, count).to_le_bytes()[..count.div_ceil(8)]);
            at += count;
        }
    }
    first
}

/// Bits `at..at + count` of `words`, 1 to 64 of them, the first lowest.
fn bits(words: &[u64], at: usize, count: usize) -> u64 {
    let (word, shift) = (at / 64, at % 64);
    let mut bits = words[word] >> shift;
    if shift > 0 && shift + count > 64 {
        bits |= words[word + 1] << (64 - shift);
    }
    bits & (u64::MAX >> (64 - count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bit of every entry packed one by one.
    fn pack_slowly(mask: &[bool], row_len: usize) -> Vec<u8> {
        let pack = |row: &[bool]| -> Vec<u8> {
            let byte = |byte: &[bool]| byte.iter().rev().fold(0, |bits, &bit| bits << 1 | u8::from(bit));
            row.chunks(8).map(byte).collect()
        };
        mask.chunks(row_len).flat_map(pack).collect()
    }

    fn words(mask: &[bool]) -> Vec<u64> {
        let word = |word: &[bool]| word.iter().rev().fold(0, |bits, &bit| bits << 1 | u64::from(bit));
        mask.chunks(64).map(word).collect()
    }

    #[test]
    fn rows_of_the_specification_are_packed_as_it_says() {
        let mask = "101100001010000010".bytes().map(|bit| bit == b'1').collect::<Vec<_>>();
        let mut bytes = Vec::new();
        assert_eq!(pack_rows(&words(&mask), 0, 18, 9, &mut bytes), 0);
        assert_eq!(bytes, [13, 1, 130, 0]);
    }

    #[test]
    fn pieces_of_any_bounds_join_to_the_packed_rows() {
        for row_len in [1, 3, 8, 9, 64, 65, 100, 129, 700] {
            let mask: Vec<_> = (0..row_len * 7).map(|at| at * at % 7 < 3).collect();
            let expected = pack_slowly(&mask, row_len);
            for piece in [1, 7, 64, 65, 200] {
                let mut joined = vec![0; expected.len()];
                for (number, part) in mask.chunks(piece).enumerate() {
                    let mut bytes = Vec::new();
                    let first = pack_rows(&words(part), number * piece, part.len(), row_len, &mut bytes);
                    joined[first..].iter_mut().zip(bytes).for_each(|(joined, byte)| *joined |= byte);
                }
                assert_eq!(joined, expected, "rows of {row_len}, pieces of {piece}");
            }
        }
    }
}
