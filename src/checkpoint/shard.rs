//! One file of a checkpoint, open for reading.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::checkpoint::at;
use crate::checkpoint::defect::Defect;
use crate::checkpoint::header::{self, PREFIX, Tensor};
use crate::error::{Error, Result};

/// A safetensors file with its header read.
///
/// It is read at given positions and not mapped into memory: a file that is cut short by somebody else gives
/// an error where a map gives a bus fault, and memory is what the buffers take.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    file: File,
    tensors: Vec<Tensor>,
    len: u64,
    modified: Option<SystemTime>,
}

impl Shard {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Malformed`] when it is no whole safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let malformed = |defect| Error::Malformed { path: path.to_owned(), defect };
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(malformed(Defect::NotAFile));
        }
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let len = metadata.len();
        if len < PREFIX as u64 {
            return Err(malformed(Defect::TooShort { len }));
        }
        let mut prefix = [0; PREFIX];
        at::read(&file, &mut prefix, 0).map_err(io)?;
        let header_len = header::header_len(prefix, len).map_err(malformed)?;
        let mut header = vec![0; header_len];
        at::read(&file, &mut header, PREFIX as u64).map_err(io)?;
        let tensors = header::parse(&header, len - (PREFIX + header_len) as u64).map_err(malformed)?;
        Ok(Self { path: path.to_owned(), file, tensors, len, modified: metadata.modified().ok() })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its tensors, in the order of their data.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Fills `bytes` from position `start` on.
    pub(super) fn read(&self, bytes: &mut [u8], start: u64) -> Result<()> {
        at::read(&self.file, bytes, start).map_err(|source| {
            let path = self.path.clone();
            // Its length was checked when it was opened.
            let shortened = source.kind() == std::io::ErrorKind::UnexpectedEof;
            if shortened { Error::Changed { path } } else { Error::Io { path, source } }
        })
    }

    /// Checks that nobody wrote to the file since it was opened, as far as length and time tell.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let now = self.metadata()?;
        if now.len() == self.len && now.modified().ok() == self.modified {
            Ok(())
        } else {
            Err(Error::Changed { path: self.path.clone() })
        }
    }

    pub(super) fn metadata(&self) -> Result<Metadata> {
        self.file.metadata().map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one tensor of 16 bytes.
    fn file(directory: &Path) -> PathBuf {
        let header = r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
        let path = directory.join("model.safetensors");
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[7; 16]].concat();
        std::fs::write(&path, bytes).expect("written");
        path
    }

    #[test]
    fn a_file_cut_short_behind_its_reader_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = file(directory.path());
        let shard = Shard::open(&path).expect("opened");
        let mut bytes = [0; 16];
        shard.read(&mut bytes, shard.len() - 16).expect("read");
        assert_eq!(bytes, [7; 16]);
        File::options().write(true).open(&path).expect("opened").set_len(shard.len() - 1).expect("cut");
        assert!(matches!(shard.read(&mut bytes, shard.len() - 16), Err(Error::Changed { .. })));
        assert!(matches!(shard.check_unchanged(), Err(Error::Changed { .. })));
    }

    #[test]
    fn a_file_that_is_written_to_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = file(directory.path());
        let shard = Shard::open(&path).expect("opened");
        shard.check_unchanged().expect("as it was");
        let later = SystemTime::now() + std::time::Duration::from_secs(1);
        File::options().write(true).open(&path).expect("opened").set_modified(later).expect("touched");
        assert!(matches!(shard.check_unchanged(), Err(Error::Changed { .. })));
    }

    #[test]
    fn a_directory_is_no_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = Shard::open(directory.path()).expect_err("refused");
        assert!(matches!(error, Error::Malformed { defect: Defect::NotAFile, .. }));
    }
}
