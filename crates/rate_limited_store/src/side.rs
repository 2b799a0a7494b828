//! The side file: how much was committed, and who has the journal.
//!
//! A damaged tail looks to the database like one that was never written. The count beside it, renewed
//! after each commit, tells the two apart.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::place;
use crate::sum::Id;
use crate::totals::Totals;

/// The bytes of the count and its checksum; the holder's name follows.
const COUNT_BYTES: usize = 32;

/// The most bytes of a holder's name.
const HOLDER_BYTES: usize = 256;

/// The file beside a journal.
#[derive(Debug)]
pub(crate) struct Side {
    file: File,
}

/// What was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) id: Id,
    pub(crate) results: u64,
    pub(crate) commits: u64,
}

impl From<&Totals> for Tally {
    fn from(totals: &Totals) -> Tally {
        Tally {
            id: totals.id,
            results: totals.results,
            commits: totals.commits,
        }
    }
}

/// What the side file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// So much was committed.
    Known(Tally),
    /// There is no such file, or nothing in it.
    Missing,
    /// It is not what was written.
    Damaged,
    /// It is too long for one: somebody else's.
    Foreign,
}

pub(crate) fn path(journal: &Path) -> PathBuf {
    place::beside(journal, "-count")
}

impl Side {
    /// Opens the file for writing, makes it where it is not there, and names the holder.
    pub(crate) fn open(journal: &Path, holder: &str, tally: Tally) -> io::Result<Side> {
        let file = place::open_private(&path(journal))?;
        let mut bytes = encoded(tally).to_vec();
        let name = holder.as_bytes();
        bytes.extend(&name[..name.len().min(HOLDER_BYTES)]);
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        Ok(Side { file })
    }

    /// Renews the count.
    pub(crate) fn put(&self, tally: Tally) -> io::Result<()> {
        self.file.write_all_at(&encoded(tally), 0)
    }

    /// Waits until the disk has it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The count beside a journal.
pub(crate) fn count(journal: &Path) -> io::Result<Count> {
    let bytes = match read(journal) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Count::Missing),
        Err(error) => return Err(error),
    };
    if bytes.is_empty() {
        return Ok(Count::Missing);
    }
    if bytes.len() > COUNT_BYTES + HOLDER_BYTES {
        return Ok(Count::Foreign);
    }
    let tally = bytes.first_chunk().and_then(decoded);
    Ok(tally.map_or(Count::Damaged, Count::Known))
}

/// Who has the journal, by what they wrote.
pub(crate) fn holder(journal: &Path) -> String {
    let bytes = read(journal).unwrap_or_default();
    let name = bytes.get(COUNT_BYTES..).unwrap_or_default();
    let name = String::from_utf8_lossy(&name[..name.len().min(HOLDER_BYTES)]);
    // Whoever can write the file must not write to the terminal.
    let is_plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let name: String = name.chars().filter(is_plain).collect();
    if name.is_empty() {
        "another process".to_owned()
    } else {
        name
    }
}

/// The beginning of the file, and a byte more than it should have if there is one.
fn read(journal: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = place::open_to_read(&path(journal))?;
    let most = COUNT_BYTES + HOLDER_BYTES + 1;
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn encoded(tally: Tally) -> [u8; COUNT_BYTES] {
    let mut bytes = [0; COUNT_BYTES];
    bytes[..8].copy_from_slice(&tally.results.to_le_bytes());
    bytes[8..16].copy_from_slice(&tally.commits.to_le_bytes());
    bytes[16..20].copy_from_slice(&tally.id.bytes());
    // Twice the width of a CRC: of two halves that differ.
    let sum = crc32fast::hash(&bytes[..24]);
    bytes[24..28].copy_from_slice(&sum.to_le_bytes());
    bytes[28..].copy_from_slice(&(!sum).to_be_bytes());
    bytes
}

fn decoded(bytes: &[u8; COUNT_BYTES]) -> Option<Tally> {
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(number)
    };
    let mut id = [0; 4];
    id.copy_from_slice(&bytes[16..20]);
    let tally = Tally {
        id: Id::of_bytes(id),
        results: number(0),
        commits: number(8),
    };
    (encoded(tally) == *bytes).then_some(tally)
}
