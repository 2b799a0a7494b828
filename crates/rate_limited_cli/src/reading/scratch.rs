//! Files that nobody else sees, and that are gone at the end.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Names tried beside one path: more are in use only where something goes wrong for good.
const NAMES_MAX: u32 = 16;

/// A new file that only its owner can read.
///
/// Where the system allows, its name is removed as soon as it is open, so that a crash leaves nothing behind;
/// elsewhere it is removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) file: File,
    path: PathBuf,
    /// Whether the name is still in its folder.
    named: bool,
}

impl Scratch {
    /// A file at `path`, or at `path.2`, `path.3`, … where a file is in the way.
    pub(crate) fn beside(path: &Path) -> io::Result<Scratch> {
        let mut tried = path.to_owned();
        for number in 2..=NAMES_MAX {
            match Scratch::at(tried) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let mut name = path.as_os_str().to_owned();
                    name.push(format!(".{number}"));
                    tried = name.into();
                }
                other => return other,
            }
        }
        Scratch::at(tried)
    }

    /// A file in the folder of the system for temporary ones.
    pub(crate) fn temporary(name: &str) -> io::Result<Scratch> {
        let name = format!("rate-limited-{}-{name}", std::process::id());
        Scratch::beside(&std::env::temp_dir().join(name))
    }

    /// Where it is, or was made.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn at(path: PathBuf) -> io::Result<Scratch> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        let named = cfg!(not(unix)) || std::fs::remove_file(&path).is_err();
        Ok(Scratch { file, path, named })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.named {
            std::fs::remove_file(&self.path).ok();
        }
    }
}
