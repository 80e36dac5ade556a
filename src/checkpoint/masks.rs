//! The mask side file: the masks of many tensors, a bit per entry, as safetensors.
//!
//! For each target one `U8` tensor of its name and of shape (R, ceil(C / 8)), the matrix view with each row
//! padded to a whole byte: bit j of byte b is column 8 b + j, 1 = kept, padding is 0. The metadata says which
//! weights the masks were made from, and how.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use serde_json::{Map, Value, json};

use crate::checkpoint::digest::{self, Sum};
use crate::checkpoint::header::{METADATA, PREFIX};
use crate::checkpoint::staged::Staged;
use crate::checkpoint::targets::Targets;
use crate::error::Result;
use crate::mask::packed_len;
use crate::parallel::Context;
use crate::source::{ReadBuffer, Source};

/// Name and version of the layout.
const FORMAT: &str = "mask/1";

/// What is before every key of the metadata.
const KEY: &str = "rustprune.";

/// A mask side file that is being written.
#[derive(Debug)]
pub(super) struct Masks<'a> {
    staged: Staged,
    contents: Contents<'a>,
    parts: Vec<Rows>,
    digests: Vec<OnceLock<Sum>>,
    /// Bytes that two pieces share, to be joined at the end.
    shared: Mutex<Vec<(u64, u8)>>,
}

/// What the header tells of.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub targets: &'a Targets<'a>,
    pub num_kept: Vec<u64>,
    /// More metadata, by key.
    pub notes: &'a BTreeMap<String, String>,
}

/// Where the packed rows of a part are.
#[derive(Debug, Clone, Copy)]
struct Rows {
    position: u64,
    row_len: usize,
}

impl<'a> Masks<'a> {
    /// A file for all targets, still without its header.
    pub fn create(path: &Path, contents: Contents<'a>) -> Result<Self> {
        let mut position = (PREFIX + contents.header(&digest::of_all([])).len()) as u64;
        let mut parts = Vec::with_capacity(contents.num_kept.len());
        for part in 0..contents.targets.num_parts() {
            let row_len = contents.targets.get(part).layout().row_len;
            parts.push(Rows { position, row_len });
            position += packed_len(contents.targets.len(part), row_len) as u64;
        }
        let digests = parts.iter().map(|_| OnceLock::new()).collect();
        let staged = Staged::create(path, position)?;
        Ok(Self { staged, contents, parts, digests, shared: Mutex::default() })
    }

    /// Reads a part and notes its digest.
    pub fn identify(&self, part: usize, buffer: &mut ReadBuffer, ctx: &Context<'_>) -> Result<()> {
        let digest = digest::of_target(self.contents.targets, part, buffer, ctx)?;
        self.digests[part].get_or_init(|| digest);
        Ok(())
    }

    /// Writes the bits of the `len` entries of a part from `start` on; `bytes` is memory to work in.
    pub fn write(
        &self,
        part: usize,
        start: usize,
        len: usize,
        words: &[u64],
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let Rows { position, row_len } = self.parts[part];
        bytes.clear();
        let first = pack_rows(words, start, len, row_len, bytes);
        let mut position = position + first as u64;
        let mut whole = bytes.as_slice();
        let mut shared = Vec::new();
        let is_inside_byte = |entry: usize| !(entry % row_len).is_multiple_of(8);
        if is_inside_byte(start + len)
            && let Some((last, rest)) = whole.split_last()
        {
            shared.push((position + rest.len() as u64, *last));
            whole = rest;
        }
        if is_inside_byte(start)
            && let Some((first, rest)) = whole.split_first()
        {
            shared.push((position, *first));
            (position, whole) = (position + 1, rest);
        }
        if !shared.is_empty()
            && let Ok(mut all) = self.shared.lock()
        {
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
        let digests = self.digests.into_iter().filter_map(OnceLock::into_inner);
        let header = self.contents.header(&digest::of_all(digests));
        self.staged.write(&(header.len() as u64).to_le_bytes(), 0)?;
        self.staged.write(header.as_bytes(), PREFIX as u64)?;
        Ok(self.staged)
    }
}

impl Contents<'_> {
    /// The header, padded so that the data is aligned; as long for any digest.
    fn header(&self, digest: &str) -> String {
        let mut entries = Map::new();
        let (mut shapes, mut counts) = (Map::new(), Map::new());
        let mut begin = 0;
        for (part, &num_kept) in self.num_kept.iter().enumerate() {
            let target = self.targets.get(part);
            let (name, shape) = (target.tensor.name.clone(), &target.tensor.shape);
            let (len, row_len) = (self.targets.len(part), target.layout().row_len);
            let num_rows = if shape.len() < 2 { 1 } else { shape[0] };
            let end = begin + packed_len(len, row_len);
            entries.insert(
                name.clone(),
                json!({"dtype": "U8", "shape": [num_rows, row_len.div_ceil(8)], "data_offsets": [begin, end]}),
            );
            shapes.insert(name.clone(), json!(shape));
            counts.insert(name, json!(num_kept));
            begin = end;
        }
        let facts = [
            ("format", FORMAT.to_owned()),
            ("shapes", Value::from(shapes).to_string()),
            ("num_kept", Value::from(counts).to_string()),
            ("source_sha256", digest.to_owned()),
        ];
        let notes = self.notes.iter().map(|(key, value)| (key.as_str(), value.clone()));
        let metadata: Map<_, _> =
            notes.chain(facts).map(|(key, value)| (format!("{KEY}{key}"), Value::from(value))).collect();
        entries.insert(METADATA.to_owned(), Value::from(metadata));
        let mut text = Value::from(entries).to_string();
        let padding = text.len().next_multiple_of(PREFIX) - text.len();
        text.extend(std::iter::repeat_n(' ', padding));
        text
    }
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
            bytes.push((bits(words, at, count) << skipped).to_le_bytes()[0]);
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
