//! Room set aside for the answers that are in flight when the disk is full.

use std::io::{self, Write};
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
        let result = fill(&path, bytes);
        if result.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        result.map(|()| Ballast { path, held: true })
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

/// Really takes the blocks: a file with a hole in it would reserve nothing.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = place::open_private(path)?;
    if file.metadata()?.len() == bytes {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return file.set_len(bytes),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let chunk = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(chunk.len() as u64) as usize;
        file.write_all(&chunk[..part])?;
        left -= part as u64;
    }
    file.set_len(bytes)
}
