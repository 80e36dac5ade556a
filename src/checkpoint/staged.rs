//! Files that appear under their name when they are whole, or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::checkpoint::at;
use crate::error::{Error, Result};

/// A file under a temporary name beside its own; dropped before [`Staged::publish`] it is removed.
///
/// A killed process leaves the temporary file behind. No run reads or reuses one.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    published: bool,
}

impl Staged {
    /// A new file of `len` zero bytes that will be `path`.
    pub fn create(path: &Path, len: u64) -> Result<Self> {
        let (temporary, file) =
            create_beside(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let staged = Self { path: path.to_owned(), temporary, file, published: false };
        staged.file.set_len(len).map_err(|source| staged.io(source))?;
        Ok(staged)
    }

    /// Writes `bytes` from `position` on.
    pub fn write(&self, bytes: &[u8], position: u64) -> Result<()> {
        at::write(&self.file, bytes, position).map_err(|source| self.io(source))
    }

    /// Copies `range` of `source` to the same place, inside the kernel where the system can.
    pub fn copy(&self, source: &File, range: Range<u64>) -> Result<()> {
        let copy = || -> io::Result<u64> {
            let (mut from, mut to) = (source, &self.file);
            from.seek(SeekFrom::Start(range.start))?;
            to.seek(SeekFrom::Start(range.start))?;
            io::copy(&mut from.take(range.end - range.start), &mut to)
        };
        match copy() {
            Ok(copied) if copied == range.end - range.start => Ok(()),
            Ok(_) => Err(self.io(ErrorKind::UnexpectedEof.into())),
            Err(source) => Err(self.io(source)),
        }
    }

    /// Gives the file the permissions of another one.
    pub fn set_permissions(&self, permissions: Permissions) -> Result<()> {
        self.file.set_permissions(permissions).map_err(|source| self.io(source))
    }

    /// Waits until the content is on the disk, if the file will take the place of another, which would be lost if
    /// the power failed in between. A new file is as safe as a copy that the system makes.
    pub fn secure(&self) -> Result<()> {
        if self.path.exists() {
            self.file.sync_data().map_err(|source| self.io(source))?;
        }
        Ok(())
    }

    /// Renames the file to its own name, in place of a file that has it.
    pub fn publish(mut self) -> Result<()> {
        fs::rename(&self.temporary, &self.path).map_err(|source| self.io(source))?;
        self.published = true;
        Ok(())
    }

    fn io(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done about a temporary file that stays: the error that led here says more.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Creates `.<name>.rustprune-<process>.tmp`, with a number where a killed process of the same id left one.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let Some(name) = path.file_name() else { return Err(ErrorKind::InvalidInput.into()) };
    for attempt in 0_u32.. {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".rustprune-{}", std::process::id()));
        hidden.push(if attempt == 0 { ".tmp".to_owned() } else { format!("-{attempt}.tmp") });
        let temporary = path.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn a_staged_file_appears_whole_when_it_is_published() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out");
        let staged = Staged::create(&path, 4).expect("created");
        staged.write(b"cd", 2).expect("written");
        assert!(!path.exists());
        staged.publish().expect("published");
        assert_eq!(fs::read(&path).expect("read"), b"\0\0cd");
        assert_eq!(names(directory.path()), ["out"]);
    }

    #[test]
    fn a_staged_file_that_is_dropped_leaves_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        drop(Staged::create(&directory.path().join("out"), 4).expect("created"));
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn temporary_files_of_killed_processes_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out");
        let left = directory.path().join(format!(".out.rustprune-{}.tmp", std::process::id()));
        fs::write(&left, b"left").expect("written");
        Staged::create(&path, 0).expect("created").publish().expect("published");
        assert_eq!(fs::read(&left).expect("read"), b"left");
        assert!(path.exists());
    }

    #[test]
    fn ranges_are_copied_to_the_same_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let source = directory.path().join("in");
        fs::write(&source, b"abcdef").expect("written");
        let staged = Staged::create(&directory.path().join("out"), 6).expect("created");
        staged.copy(&File::open(&source).expect("opened"), 1..4).expect("copied");
        staged.publish().expect("published");
        assert_eq!(fs::read(directory.path().join("out")).expect("read"), b"\0bcd\0\0");
    }
}
