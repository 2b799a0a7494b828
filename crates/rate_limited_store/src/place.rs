//! Where a journal lies: whose it is, and on what kind of disk.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::error::OpenError;
use crate::schema::{APPLICATION, FORMAT, PAGE};
use crate::side;

/// How the header of each database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The bytes of that header.
const HEADER_BYTES: usize = 100;

/// A format above this is none that anybody will ever write.
const FORMATS: i64 = 999;

/// How often a file is taken anew that was replaced while it was taken.
const TRIES: u32 = 100;

/// How long somebody may hold a file who only asks who has it.
const ASKING: Duration = Duration::from_millis(5);

/// The path of a file that belongs to a journal.
pub(crate) fn beside(journal: &Path, suffix: &str) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens a file that only its owner may read, or makes it; never through a link.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let there = options().write(true).open(path);
    match there {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_private(path),
        there => plain(there?),
    }
}

/// Makes a file that only its owner may read, where there is none yet.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Opens a file for reading; never through a link.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    plain(options().open(path)?)
}

/// A pipe would be waited for, and a link be followed to a file of somebody else.
fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

fn plain(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no ordinary file"))
    }
}

/// Waits until the disk has the names of a folder.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder that a path lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// The file itself, whatever its name is.
type Inode = (u64, u64);

/// Open for as long as the lock is held.
type Handle = Arc<Mutex<Option<File>>>;

/// What this process holds. To open and close one of these files a second time would end the locks that
/// the database has on it: locks of the kind that it uses end with any closing.
static HELD: Mutex<BTreeMap<(u32, Inode), Handle>> = Mutex::new(BTreeMap::new());

fn held() -> Option<MutexGuard<'static, BTreeMap<(u32, Inode), Handle>>> {
    for _ in 0..TRIES {
        match HELD.try_lock() {
            Ok(held) => return Some(held),
            Err(TryLockError::Poisoned(held)) => return Some(held.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    // It was taken while the process was copied, and is never given back in this copy.
    None
}

/// What this process holds under a path.
fn held_at(path: &Path) -> Option<Handle> {
    let there = path.symlink_metadata().ok()?;
    let key = (std::process::id(), (there.dev(), there.ino()));
    held()?.get(&key).cloned()
}

/// A journal's file, held by this process until it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Held {
    file: Handle,
    inode: Inode,
    /// The process that took it: a copy of that one holds nothing.
    process: u32,
    path: PathBuf,
    /// Whether it was not there before.
    made: bool,
}

/// What a file is, by its header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    Journal,
    Newer(i64),
    /// A journal whose header is not what was written.
    Broken(&'static str),
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
        let in_use = || OpenError::InUse {
            path: path.to_owned(),
            holder: side::holder(path),
        };
        if let Some(kind) = network(folder_of(path)).map_err(failed)? {
            let path = path.to_owned();
            return Err(OpenError::Network { path, kind });
        }
        let mut waited = false;
        for _ in 0..TRIES {
            let there = path.symlink_metadata();
            if there.as_ref().is_ok_and(std::fs::Metadata::is_symlink) {
                return Err(OpenError::Link(path.to_owned()));
            }
            if held_at(path).is_some() {
                return Err(in_use());
            }
            let made = there.is_err();
            let file = if made {
                create_private(path)
            } else {
                options().write(true).open(path).and_then(plain)
            };
            let file = match file {
                Ok(file) => file,
                Err(error) if was_replaced(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                // Whoever only asked who has it gives it back at once.
                Err(rustix::io::Errno::WOULDBLOCK) if !waited => {
                    waited = true;
                    std::thread::sleep(ASKING);
                    continue;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use()),
                Err(error) => return Err(failed(error.into())),
            }
            let held = Held::of(path, file, made).map_err(failed)?;
            // Its holder may have put another file in its place just now.
            if held.is_there() {
                return Ok(held);
            }
        }
        Err(in_use())
    }

    fn of(path: &Path, file: File, made: bool) -> io::Result<Held> {
        let found = file.metadata()?;
        let inode = (found.dev(), found.ino());
        let file = Arc::new(Mutex::new(Some(file)));
        if let Some(mut held) = held() {
            held.insert((std::process::id(), inode), Arc::clone(&file));
        }
        Ok(Held {
            file,
            inode,
            process: std::process::id(),
            path: path.to_owned(),
            made,
        })
    }

    /// Puts a new file in the place of the one that is held, and holds that. There is no moment at which
    /// the path leads to a file that nobody holds, or to half a journal.
    pub(crate) fn replace(&mut self, fresh: &Path) -> io::Result<()> {
        let file = options().write(true).open(fresh)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.sync_all()?;
        let held = Held::of(&self.path, file, self.made)?;
        std::fs::rename(fresh, &self.path)?;
        sync_folder(&self.path)?;
        *self = held;
        Ok(())
    }

    /// Removes the file if it was made here: nobody needs it.
    pub(crate) fn undo(self) {
        if self.made && self.is_there() {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Whether the path still leads to the file that is held.
    pub(crate) fn is_there(&self) -> bool {
        let there = self.path.symlink_metadata();
        there.is_ok_and(|there| (there.dev(), there.ino()) == self.inode)
    }

    /// What the file is.
    pub(crate) fn kind(&self) -> io::Result<Kind> {
        look(&self.file, kind_of).unwrap_or(Ok(Kind::Empty))
    }

    /// How long the file is.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        let found = look(&self.file, File::metadata);
        found.map_or(Ok(0), |found| Ok(found?.len()))
    }

    /// Closes this process's copy of a file that another process has locked: a child that was forked off
    /// would keep the lock alive.
    pub(crate) fn let_go(&self) {
        // A lock that was taken while the process was copied is never given back here.
        if let Ok(mut file) = self.file.try_lock() {
            *file = None;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut held) = held() {
            held.remove(&(std::process::id(), self.inode));
        }
        if self.process == std::process::id() {
            // A child that is just being started has a copy of the file, which would keep the lock alive until
            // it has closed that.
            look(&self.file, |file| flock(file, FlockOperation::Unlock));
        }
    }
}

/// Whether a file was put there, or taken away, after it was looked for.
fn was_replaced(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
    )
}

fn look<T>(handle: &Handle, look: impl FnOnce(&File) -> T) -> Option<T> {
    let file = handle.lock().unwrap_or_else(PoisonError::into_inner);
    file.as_ref().map(look)
}

/// Whether somebody holds the file at a path. To ask is to hold it for a moment, beside others who ask.
pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
    if held_at(path).is_some() {
        return Ok(true);
    }
    match flock(open_to_read(path)?, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// What the file at a path is. It may be held, here or elsewhere.
pub(crate) fn kind_at(path: &Path) -> io::Result<Kind> {
    let kind = held_at(path).and_then(|handle| look(&handle, kind_of));
    match kind {
        Some(kind) => kind,
        None => kind_of(&open_to_read(path)?),
    }
}

/// What a file is.
fn kind_of(file: &File) -> io::Result<Kind> {
    let mut header = [0; HEADER_BYTES];
    if let Err(error) = file.read_exact_at(&mut header, 0) {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof if file.metadata()?.len() == 0 => Ok(Kind::Empty),
            io::ErrorKind::UnexpectedEof => Ok(Kind::Foreign("it is too short for a database")),
            _ => Err(error),
        };
    }
    if !header.starts_with(MAGIC) {
        return Ok(Kind::Foreign("it does not begin like a database"));
    }
    let number = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&header[at..at + 4]);
        i64::from(u32::from_be_bytes(bytes))
    };
    Ok(match (number(68), number(60)) {
        (APPLICATION, format) if (FORMAT + 1..=FORMATS).contains(&format) => Kind::Newer(format),
        (APPLICATION, FORMAT) if is_as_written(&header) => Kind::Journal,
        (APPLICATION, _) => Kind::Broken("its header is not what was written"),
        _ => Kind::Foreign("it is a database of something else"),
    })
}

/// Whether all that never changes in the header is as it was made: the size of pages, the log, the
/// fractions of pages, the format of rows, no vacuum, UTF-8.
fn is_as_written(header: &[u8; HEADER_BYTES]) -> bool {
    let pages = (PAGE as u16).to_be_bytes();
    header[16..18] == pages
        && header[18..24] == [2, 2, 0, 64, 32, 32]
        && header[44..48] == [0, 0, 0, 4]
        && header[52..60] == [0, 0, 0, 0, 0, 0, 0, 1]
        && header[64..68] == [0; 4]
}

/// The bytes that are free where a journal is, as far as that is known.
pub(crate) fn room(journal: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder_of(journal)).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
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
