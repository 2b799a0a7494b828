//! What lies beside a journal and no result depends on: the statistics of its runs.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::place;

/// What is put behind the name of a journal to name its statistics.
pub(crate) const ENDING: &str = "-report";

/// More bytes than statistics ever take.
const BYTES_MAX: u64 = 1 << 20;

/// The file beside a journal that keeps the statistics of its runs. It goes when the journal is [removed](crate::remove).
///
/// It may be lost, and no journal becomes unreadable for it.
///
/// ```
/// use rate_limited_store::Beside;
///
/// # let folder = tempfile::tempdir()?;
/// let beside = Beside::of(&folder.path().join("run.journal"));
/// assert_eq!(beside.read(), None);
/// beside.write(|| b"{}".to_vec())?;
/// assert_eq!(beside.read().as_deref(), Some(&b"{}"[..]));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Beside {
    file: PathBuf,
    /// Held while it is written, so that what is older never comes later.
    turn: Mutex<()>,
}

impl Beside {
    /// How often a run writes it: what a kill loses of the statistics.
    pub const SAVE_EVERY: Duration = Duration::from_secs(10);

    /// The one beside the journal at this path.
    pub fn of(journal: &Path) -> Beside {
        Beside {
            file: place::beside(journal, ENDING),
            turn: Mutex::new(()),
        }
    }

    /// What is in it; `None`: there is none, or it is larger than statistics ever are.
    pub fn read(&self) -> Option<Vec<u8>> {
        let file = place::open_to_read(&self.file).ok()?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= BYTES_MAX).then_some(bytes)
    }

    /// Writes what this makes, as a whole or not at all. Only its owner may read it.
    ///
    /// # Errors
    /// The system refuses: the disk is full, or the folder is gone.
    pub fn write(&self, make: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        write_whole(&self.file, &make(), true)
    }
}

/// Writes a file as a whole or not at all; `is_private`: for nobody else.
///
/// # Errors
/// The system refuses: then what was there before is there still.
pub fn write_whole(path: &Path, bytes: &[u8], is_private: bool) -> io::Result<()> {
    let fresh = place::beside(path, ".new");
    let _ = fs::remove_file(&fresh);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if is_private {
        options.mode(0o600);
    }
    let written = options
        .open(&fresh)
        .and_then(|mut file| file.write_all(bytes));
    let moved = written.and_then(|()| fs::rename(&fresh, path));
    moved.inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}
