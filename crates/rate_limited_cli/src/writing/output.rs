//! Where the output goes: a file or standard output, checked before anything is sent.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rate_limited_store::JournalError;

use crate::reading::stamp::FileId;
use crate::writing::sink::{Kind, Sink};

/// Why the output cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Output and input are one file, perhaps through a link.
    #[error(
        "the output {output} is the same file as the input {}: choose another path for the output",
        input_name(input)
    )]
    SameAsInput {
        /// The output.
        output: String,
        /// The input.
        input: PathBuf,
    },
    /// The path is a folder.
    #[error("the output {} is a folder: name a file in it", .0.display())]
    IsAFolder(PathBuf),
    /// There is such a file already, and no journal to go on with.
    #[error(
        "the output {} exists, and there is no journal to go on with: choose another path, or pass --fresh \
         to replace it",
        .0.display()
    )]
    Exists(PathBuf),
    /// There is such a file already, and its results are not those of the journal.
    #[error(
        "the output {} has results that are not in the journal {}: choose another path, or move the file \
         away; --fresh would replace both",
        output.display(), journal.display()
    )]
    Elsewhere {
        /// The output.
        output: PathBuf,
        /// The journal.
        journal: PathBuf,
    },
    /// The file's folder is missing.
    #[error(
        "the folder {} of the output {} does not exist: create it, or choose another path",
        folder.display(), output.display()
    )]
    NoFolder {
        /// The output.
        output: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// The system refuses to open it for writing.
    #[error("failed to open the output {} for writing: {source}; choose another path", path.display())]
    Open {
        /// The output.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Whoever read the output has gone (a closed pipe).
    #[error("the reader of the output {0} has gone: nothing more can be written")]
    Closed(String),
    /// Writing failed, for example on a full disk. What is on it ends with a whole line.
    #[error("failed to write the output {name}: {source}")]
    Write {
        /// The output.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file for lines whose turn has not come cannot be written or read.
    #[error("failed to use {}, which holds results until their turn: {source}", path.display())]
    Spill {
        /// The spill file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A result that is to be written cannot be read from the journal.
    #[error("failed to read a result from the journal: {0}")]
    Recorded(JournalError),
    /// A second line for one index: a fault of this program.
    #[error("line {0} of the output was given twice")]
    Repeated(u64),
}

impl OutputError {
    /// Whether more room may help.
    pub(crate) fn is_for_want_of_room(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            OutputError::Write { source, .. } | OutputError::Spill { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
            }
            _ => false,
        }
    }
}

/// What happens to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is in the way.
    Refused,
    /// It is replaced.
    Replaced,
    /// The run goes on with it: it is opened as it is.
    Continued,
}

/// Where the output is meant to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputTarget {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl From<OsString> for OutputTarget {
    /// `-` is standard output, anything else a path.
    fn from(argument: OsString) -> OutputTarget {
        if argument == "-" {
            OutputTarget::Stdout
        } else {
            OutputTarget::File(argument.into())
        }
    }
}

impl fmt::Display for OutputTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutputTarget::Stdout => f.write_str("-"),
            OutputTarget::File(path) => path.display().fmt(f),
        }
    }
}

impl OutputTarget {
    /// Checks all that can be checked without making or changing a file.
    ///
    /// `input` is what is read, `-` for standard input, which may be a file, too.
    ///
    /// # Errors
    /// The output is the input, a folder, there already, or in no folder.
    pub fn check(&self, input: Option<&Path>, existing: Existing) -> Result<(), OutputError> {
        match self {
            OutputTarget::Stdout => self.check_apart(metadata_behind(io::stdout()).as_ref(), input),
            OutputTarget::File(path) => match path.metadata() {
                Ok(there) => {
                    self.check_apart(Some(&there), input)?;
                    check_replaceable(path, &there, existing)
                }
                Err(_) => check_folder(path),
            },
        }
    }

    /// Whether it is a pipe with a name, which opens only once somebody reads it.
    #[cfg(unix)]
    pub fn is_named_pipe(&self) -> bool {
        use std::os::unix::fs::FileTypeExt;

        self.metadata()
            .is_some_and(|there| there.file_type().is_fifo())
    }

    /// Whether it is a pipe with a name, which opens only once somebody reads it.
    #[cfg(not(unix))]
    pub fn is_named_pipe(&self) -> bool {
        false
    }

    /// The path, if it has one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            OutputTarget::Stdout => None,
            OutputTarget::File(path) => Some(path),
        }
    }

    /// Whether what is written there can be read again later: it is a file, or nothing yet, no device or
    /// pipe.
    pub fn is_kept(&self) -> bool {
        let is_file = |path: &Path| path.metadata().map_or(true, |there| there.is_file());
        self.path().is_some_and(is_file)
    }

    /// Whether it is a file with nothing in it.
    pub fn is_empty_file(&self) -> bool {
        self.metadata()
            .is_some_and(|there| there.is_file() && there.len() == 0)
    }

    /// The path of a file that is there.
    pub fn kept_file(&self) -> Option<&Path> {
        self.path().filter(|path| path.is_file())
    }

    fn metadata(&self) -> Option<Metadata> {
        match self {
            OutputTarget::Stdout => None,
            OutputTarget::File(path) => path.metadata().ok(),
        }
    }

    /// Opens the output: empty, or as it is. A file that is there is cut only once it is sure that it is
    /// not the input.
    ///
    /// # Errors
    /// As [`OutputTarget::check`], and whatever the system refuses.
    pub fn open(&self, input: Option<&Path>, existing: Existing) -> Result<Sink, OutputError> {
        self.check(input, existing)?;
        let OutputTarget::File(path) = self else {
            return Ok(Sink::new(
                self.to_string(),
                Kind::Stdout(io::stdout()),
                None,
            ));
        };
        let failed = |source| OutputError::Open {
            path: path.clone(),
            source,
        };
        let may_be_there =
            existing != Existing::Refused || path.metadata().is_ok_and(|there| !there.is_file());
        let mut options = OpenOptions::new();
        // Else the file must be new, even if another process makes it at this moment.
        options
            .write(true)
            .create(may_be_there)
            .create_new(!may_be_there)
            .truncate(false);
        let file = options.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OutputError::Exists(path.clone()),
            _ => failed(error),
        })?;
        let metadata = file.metadata().map_err(failed)?;
        self.check_apart(Some(&metadata), input)?;
        if !metadata.is_file() {
            return Ok(Sink::new(
                self.to_string(),
                Kind::Device(Box::new(file)),
                None,
            ));
        }
        if existing != Existing::Continued {
            file.set_len(0).map_err(failed)?;
        }
        Ok(Sink::new(self.to_string(), Kind::File(file), Some(path)))
    }

    /// Refuses an output that is the input, through whichever path or link.
    fn check_apart(
        &self,
        output: Option<&Metadata>,
        input: Option<&Path>,
    ) -> Result<(), OutputError> {
        let Some(input) = input else { return Ok(()) };
        let is_stdin = input == Path::new("-");
        let input_metadata = if is_stdin {
            metadata_behind(io::stdin())
        } else {
            input.metadata().ok()
        };
        let [one, other] = [output, input_metadata.as_ref()].map(|it| it.and_then(FileId::of));
        let same_path = match self {
            OutputTarget::File(path) if !is_stdin => {
                match (path.canonicalize(), input.canonicalize()) {
                    (Ok(output), Ok(input)) => output == input,
                    _ => false,
                }
            }
            _ => false,
        };
        // Terminals and pipes may well be both: only what keeps its content is in danger.
        let keeps = input_metadata.is_some_and(|metadata| metadata.is_file());
        if keeps && (same_path || (one.is_some() && one == other)) {
            return Err(OutputError::SameAsInput {
                output: self.to_string(),
                input: input.to_owned(),
            });
        }
        Ok(())
    }
}

fn input_name(input: &Path) -> String {
    if input == Path::new("-") {
        "(standard input)".to_owned()
    } else {
        input.display().to_string()
    }
}

fn check_replaceable(path: &Path, there: &Metadata, existing: Existing) -> Result<(), OutputError> {
    if there.is_dir() {
        return Err(OutputError::IsAFolder(path.to_owned()));
    }
    if there.is_file() && existing == Existing::Refused {
        return Err(OutputError::Exists(path.to_owned()));
    }
    Ok(())
}

fn check_folder(path: &Path) -> Result<(), OutputError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder)
            if folder
                .metadata()
                .is_err_and(|e| e.kind() == io::ErrorKind::NotFound) =>
        {
            let (output, folder) = (path.to_owned(), folder.to_owned());
            Err(OutputError::NoFolder { output, folder })
        }
        _ => Ok(()),
    }
}

/// What is known of the file behind standard input or standard output.
#[cfg(unix)]
fn metadata_behind(stream: impl std::os::fd::AsFd) -> Option<Metadata> {
    let handle = stream.as_fd().try_clone_to_owned().ok()?;
    File::from(handle).metadata().ok()
}

#[cfg(not(unix))]
fn metadata_behind<S>(_stream: S) -> Option<Metadata> {
    None
}
