//! Where a journal lies: whose it is, and on what kind of disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::error::OpenError;
use crate::schema::{APPLICATION, FORMAT};
use crate::side;

/// How the header of each database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The bytes of that header.
const HEADER_BYTES: usize = 100;

/// The path of a file that belongs to a journal.
pub(crate) fn beside(journal: &Path, suffix: &str) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens a file that only its owner may read, or makes it; never through a link.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// A journal's file, held by this process until it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Held {
    /// Open for as long as the lock is held.
    file: Mutex<Option<File>>,
    path: PathBuf,
}

/// What a file is, by its header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    Journal,
    Newer(i64),
    Foreign(&'static str),
}

impl Held {
    /// Takes the file, and makes it where it is not there. The lock is the kernel's: it ends with the
    /// process, however that ends, and a file of the same name that is made later is another one.
    pub(crate) fn take(path: &Path) -> Result<Held, OpenError> {
        let failed = |source| OpenError::System {
            path: path.to_owned(),
            source,
        };
        if path
            .symlink_metadata()
            .is_ok_and(|found| found.is_symlink())
        {
            return Err(OpenError::Link(path.to_owned()));
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(kind) = network(folder.unwrap_or(Path::new("."))).map_err(failed)? {
            let path = path.to_owned();
            return Err(OpenError::Network { path, kind });
        }
        let file = open_private(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(OpenError::InUse {
                    path: path.to_owned(),
                    holder: side::holder(path),
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        Ok(Held {
            file: Mutex::new(Some(file)),
            path: path.to_owned(),
        })
    }

    /// Whether the path still leads to the file that is held.
    pub(crate) fn is_there(&self) -> bool {
        let held = self.look(File::metadata);
        match (self.path.symlink_metadata(), held) {
            (Ok(there), Some(Ok(held))) => (there.dev(), there.ino()) == (held.dev(), held.ino()),
            _ => false,
        }
    }

    /// What the file is.
    pub(crate) fn kind(&self) -> io::Result<Kind> {
        self.look(kind_of).unwrap_or(Ok(Kind::Empty))
    }

    /// Closes this process's copy of a file that another process has locked: a child that was forked off
    /// would keep the lock alive.
    pub(crate) fn let_go(&self) {
        // A lock that was taken while the process was copied is never given back here.
        if let Ok(mut file) = self.file.try_lock() {
            *file = None;
        }
    }

    fn look<T>(&self, look: impl FnOnce(&File) -> T) -> Option<T> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_ref().map(look)
    }
}

/// What a file is.
pub(crate) fn kind_of(mut file: &File) -> io::Result<Kind> {
    use std::io::{Seek, SeekFrom};
    let mut header = Vec::with_capacity(HEADER_BYTES);
    file.seek(SeekFrom::Start(0))?;
    file.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(Kind::Empty);
    }
    if header.len() < HEADER_BYTES || !header.starts_with(MAGIC) {
        return Ok(Kind::Foreign("it does not begin like a database"));
    }
    let number = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&header[at..at + 4]);
        i64::from(u32::from_be_bytes(bytes))
    };
    Ok(match (number(68), number(60)) {
        (APPLICATION, format) if format > FORMAT => Kind::Newer(format),
        (APPLICATION, 1..) => Kind::Journal,
        _ => Kind::Foreign("it is a database of something else"),
    })
}

/// The kind of network file system that a folder lies on, if it does.
#[cfg(target_os = "linux")]
fn network(folder: &Path) -> io::Result<Option<&'static str>> {
    Ok(network_kind(rustix::fs::statfs(folder)?.f_type as u64))
}

#[cfg(not(target_os = "linux"))]
fn network(_folder: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}

/// By the numbers of statfs(2).
#[cfg(target_os = "linux")]
fn network_kind(magic: u64) -> Option<&'static str> {
    match magic & 0xFFFF_FFFF {
        0x6969 => Some("NFS"),
        0x517B => Some("SMB"),
        0xFF53_4D42 | 0xFE53_4D42 => Some("CIFS"),
        0x0102_1997 => Some("9P"),
        0x00C3_6400 => Some("Ceph"),
        0x5346_414F => Some("AFS"),
        0x0BD0_0BD0 => Some("Lustre"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::network_kind;

    #[test]
    fn disks_of_other_machines_are_known() {
        let kinds = [0x6969, 0xFF53_4D42, 0xEF53, 0x0102_1994].map(network_kind);
        assert_eq!(kinds, [Some("NFS"), Some("CIFS"), None, None]);
    }
}
