//! Room set aside for the answers that are in flight when the disk is full.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::place;

/// The least that is set aside, in bytes: 8 MiB.
const LEAST: u64 = 8 << 20;

/// What is set aside for each attempt in flight, in bytes.
const PER_ATTEMPT: u64 = 64 << 10;

/// A file that is there to be deleted.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    held: bool,
}

/// How much is set aside for so many attempts in flight.
pub(crate) fn size(max_concurrent: u32) -> u64 {
    (PER_ATTEMPT * u64::from(max_concurrent)).max(LEAST)
}

impl Ballast {
    /// Sets the room aside, or keeps what an earlier run has.
    pub(crate) fn set_aside(journal: &Path, bytes: u64) -> io::Result<Ballast> {
        let path = place::beside(journal, "-ballast");
        let mut file = place::open_private(&path)?;
        let size = file.metadata()?.len();
        if size != bytes {
            if !is_empty(&mut file)? {
                let what = "the file beside it, -ballast, is none of a journal";
                return Err(io::Error::other(what));
            }
            if let Err(error) = fill(&mut file, bytes) {
                let _ = std::fs::remove_file(&path);
                return Err(error);
            }
        }
        Ok(Ballast { path, held: true })
    }

    /// Whether the disk has no room for another page, as far as a try tells.
    pub(crate) fn is_at_the_end(&self) -> bool {
        use std::os::unix::fs::FileExt;
        let end = || place::open_private(&self.path).and_then(|file| Ok((file.metadata()?, file)));
        let Ok((found, file)) = end() else {
            return false;
        };
        let written = file.write_all_at(&[0; 4_096], found.len());
        let kind = written.err().map(|error| error.kind());
        matches!(
            kind,
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        )
    }

    /// Gives the room back, once. Whether there was any.
    pub(crate) fn free(&mut self) -> bool {
        std::mem::take(&mut self.held) && std::fs::remove_file(&self.path).is_ok()
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        self.free();
    }
}

/// Whether nothing but zeros is in it: somebody's file must not be written over.
fn is_empty(file: &mut File) -> io::Result<bool> {
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(true),
            read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Really takes the blocks: a file with a hole in it would reserve nothing.
fn fill(file: &mut File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&*file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return file.set_len(bytes),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    file.seek(SeekFrom::Start(0))?;
    let chunk = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(chunk.len() as u64) as usize;
        file.write_all(&chunk[..part])?;
        left -= part as u64;
    }
    file.set_len(bytes)
}
