//! The side file: how many results were committed, and who has the journal.
//!
//! A damaged tail looks to the database like one that was never written. The count beside it, renewed
//! after each commit, tells the two apart.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::place;

/// The bytes of the count and its checksum; the holder's name follows.
const COUNT_BYTES: usize = 16;

/// The most bytes of a holder's name that are read.
const HOLDER_BYTES: usize = 256;

/// The file beside a journal.
#[derive(Debug)]
pub(crate) struct Side {
    file: File,
}

/// What the side file says of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// So many were committed.
    Known(u64),
    /// There is no such file, or nothing in it.
    Missing,
    /// It is not what was written.
    Damaged,
}

pub(crate) fn path(journal: &Path) -> PathBuf {
    place::beside(journal, "-count")
}

impl Side {
    /// Opens the file for writing, makes it where it is not there, and names the holder.
    pub(crate) fn open(journal: &Path, holder: &str) -> io::Result<Side> {
        let file = place::open_private(&path(journal))?;
        let mut name = holder.as_bytes().to_vec();
        name.truncate(HOLDER_BYTES);
        // A count that is not there yet must not look damaged.
        let size = file.metadata()?.len();
        file.write_all_at(&name, COUNT_BYTES as u64)?;
        if size == 0 {
            file.write_all_at(&encoded(0), 0)?;
        }
        file.set_len((COUNT_BYTES + name.len()) as u64)?;
        Ok(Side { file })
    }

    /// Renews the count.
    pub(crate) fn put(&self, results: u64) -> io::Result<()> {
        self.file.write_all_at(&encoded(results), 0)
    }

    /// Waits until the disk has it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The count beside a journal.
pub(crate) fn count(journal: &Path) -> io::Result<Count> {
    let bytes = match std::fs::read(path(journal)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Count::Missing),
        Err(error) => return Err(error),
    };
    if bytes.is_empty() {
        return Ok(Count::Missing);
    }
    let Some(Ok(count)) = bytes.get(..COUNT_BYTES).map(<[u8; COUNT_BYTES]>::try_from) else {
        return Ok(Count::Damaged);
    };
    let mut first = [0; 8];
    first.copy_from_slice(&count[..8]);
    let results = u64::from_le_bytes(first);
    Ok(if encoded(results) == count {
        Count::Known(results)
    } else {
        Count::Damaged
    })
}

/// Who has the journal, by what they wrote.
pub(crate) fn holder(journal: &Path) -> String {
    let bytes = std::fs::read(path(journal)).unwrap_or_default();
    let name = bytes.get(COUNT_BYTES..).unwrap_or_default();
    let name = String::from_utf8_lossy(&name[..name.len().min(HOLDER_BYTES)]);
    // Whoever can write the file must not write to the terminal.
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() {
        "another process".to_owned()
    } else {
        name
    }
}

fn encoded(results: u64) -> [u8; COUNT_BYTES] {
    let mut bytes = [0; COUNT_BYTES];
    bytes[..8].copy_from_slice(&results.to_le_bytes());
    // Twice the width of a CRC: of two halves that differ.
    let sum = crc32fast::hash(&bytes[..8]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes[12..].copy_from_slice(&(!sum).to_be_bytes());
    bytes
}
