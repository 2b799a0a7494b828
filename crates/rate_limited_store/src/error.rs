//! What can go wrong, and what to do then.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A table of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Table {
    /// What the journal is, and how many rows it should have.
    Meta,
    /// One row for each call that is over.
    Calls,
    /// One row for each call that has begun and is not over.
    Open,
    /// One row for each result.
    Results,
    /// One row for each attempt that failed.
    Failures,
    /// What was taken of the limits.
    Charges,
    /// The limits.
    Resources,
}

impl Table {
    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Calls => "calls",
            Table::Open => "open",
            Table::Results => "results",
            Table::Failures => "failures",
            Table::Charges => "charges",
            Table::Resources => "resources",
        }
    }
}

/// A place in a journal that is not what was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The table.
    pub table: Table,
    /// The row, where it is known.
    pub row: Option<i64>,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "row {row} of {}: {}", self.table.name(), self.what),
            None => write!(f, "{}: {}", self.table.name(), self.what),
        }
    }
}

/// Why a journal cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the journal {} is in use by {holder}: wait until that run is over and has closed it, or choose another journal",
        path.display()
    )]
    InUse {
        /// The journal.
        path: PathBuf,
        /// Who has it, as far as that is known.
        holder: String,
    },
    /// It is on a file system of another machine, where locks cannot be trusted.
    #[error(
        "the journal {} would be on a network file system ({kind}), where neither locks nor commits \
         can be trusted: choose a path on a disk of this machine",
        path.display()
    )]
    Network {
        /// The journal.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// There is a file, and it is no journal.
    #[error("{} is no journal of rate_limited ({what}): it was left as it is; choose another path", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        what: String,
    },
    /// A later version wrote it.
    #[error(
        "the journal {} has format {found}, and this version knows {known}: use the version that wrote \
         it, or a later one",
        path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The path is a link, which a stranger may have put there.
    #[error("the journal {} is a symbolic link: name the file itself", .0.display())]
    Link(PathBuf),
    /// Parts of it are not what was written.
    #[error(
        "the journal {} is damaged: {}{}; nothing was changed, and what is good can be kept",
        path.display(), damages.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        and_more(*more)
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The first places, a handful at most.
        damages: Vec<Damage>,
        /// How many more there are.
        more: u64,
    },
    /// There is no room for it.
    #[error(
        "no room for the journal {}: it needs {} MiB in reserve; free some, or choose another path",
        path.display(),
        bytes.div_ceil(1 << 20)
    )]
    NoRoom {
        /// The journal.
        path: PathBuf,
        /// What is needed, in bytes.
        bytes: u64,
    },
    /// The system refuses.
    #[error("failed to open the journal {}: {source}; choose another path, or mend that", path.display())]
    System {
        /// The journal.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The database refuses.
    #[error("failed to open the journal {}: {message}", path.display())]
    Database {
        /// The journal.
        path: PathBuf,
        /// What it says.
        message: String,
    },
}

fn and_more(more: u64) -> String {
    if more == 0 {
        String::new()
    } else {
        format!("; and {more} more")
    }
}

/// Why a journal cannot be written or read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The disk is full. What was in flight is kept in the room that was set aside.
    #[error("the disk of the journal {} is full: free some room, and run again", .0.display())]
    Full(PathBuf),
    /// Something else keeps it from being written; nothing after that is taken as recorded.
    #[error("failed to write the journal {}: {message}{}", path.display(), rescued(rescue.as_ref()))]
    Write {
        /// The journal.
        path: PathBuf,
        /// What the system says.
        message: String,
        /// Where the results that did not fit were put.
        rescue: Option<PathBuf>,
    },
    /// A row is not what was written.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    /// It cannot be read.
    #[error("failed to read the journal: {0}")]
    Read(String),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

fn rescued(rescue: Option<&PathBuf>) -> String {
    rescue.map_or_else(String::new, |path| {
        format!(
            "; the results that did not fit are in {}: the next run on this journal takes them over",
            path.display()
        )
    })
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> JournalError {
        JournalError::Read(error.to_string())
    }
}
