//! The journal of a run: where it lies, how it is opened, what is said of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rate_limited::journal::{OnChange, OnUnknown, Policy, windows};
use rate_limited_store::{
    Counts, Durability, Journal, JournalError, OpenError, Opened, Options, Past, Peeked, peek,
    remove, salvage, verify,
};

use crate::args::{Concurrency, JournalArgs, RunArgs};
use crate::calling::meters::Meters;
use crate::reading::stamp::FileId;
use crate::recording::identity::Identity;
use crate::refusal::Refusal;
use crate::telling::say::tell;
use crate::values::text::{counted, grouped};
use crate::writing::output::OutputTarget;

/// How many calls may be in flight before more of them are tried.
const FLIGHTS_AT_FIRST: u32 = 64;

/// The most answers for which room is set aside: more are seldom in flight, and it would be gigabytes.
const FLIGHTS_MAX: u32 = 4_096;

/// What is put beside an output to name its journal.
const ENDING: &str = ".journal";

/// The files that belong to a journal, by what is put behind its name.
pub(crate) const FILES: [&str; 6] = ["", "-wal", "-shm", "-count", "-ballast", "-report"];

/// A journal that is open.
#[derive(Debug)]
pub(crate) struct RunJournal {
    pub(crate) journal: Arc<Journal>,
    pub(crate) known: Arc<Known>,
    // Dropped last: the file can be removed once it is closed.
    made: Made,
}

/// What is known of calls, apart from the journal: a reader that waits for its input may keep it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) past: Past,
    pub(crate) policy: Policy,
    pub(crate) identity: Identity,
}

/// A file that was made here and is worth nothing yet.
#[derive(Debug)]
struct Made(Option<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // What stays is an empty journal, which the next run takes.
            let _ = remove(path);
        }
    }
}

impl RunJournal {
    /// Opens the journal at `path`, or makes it.
    ///
    /// # Errors
    /// It cannot be used; then it stays as it is.
    pub(crate) fn open(
        path: &Path,
        args: &RunArgs,
        meters: &Meters,
        identity: Identity,
    ) -> Result<RunJournal, Refusal> {
        let was_there = path.symlink_metadata().is_ok();
        let options = Options {
            durability: match args.journal.durability {
                crate::args::Durability::Process => Durability::Process,
                crate::args::Durability::Power => Durability::Power,
            },
            max_concurrent: match args.limits.max_concurrent {
                Concurrency::Auto => FLIGHTS_AT_FIRST,
                Concurrency::Fixed(number) => number.min(FLIGHTS_MAX),
            },
            resources: windows(&meters.quotas()),
            job: Vec::new(),
        };
        let Opened { journal, past } = Journal::open(path, &options)?;
        let made = Made((!was_there).then(|| path.to_owned()));
        Ok(RunJournal {
            journal: Arc::new(journal),
            known: Arc::new(Known {
                past,
                policy: args.journal.policy(),
                identity,
            }),
            made,
        })
    }

    /// From now on there is something in it: the job, to begin with.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn begin(&mut self, job: &[(String, String)]) -> Result<(), JournalError> {
        self.journal.renew_job(job)?;
        self.made.0 = None;
        Ok(())
    }

    /// Whether it has no calls at all.
    pub(crate) fn is_empty(&self) -> bool {
        let Counts {
            done,
            failed,
            unfinished,
            ..
        } = self.known.past.counts;
        done + failed + unfinished == 0
    }

    /// What opening found and people have to know.
    pub(crate) fn told(&self) -> Vec<String> {
        let past = &self.known.past;
        let path = self.journal.path().display();
        let mut told = Vec::new();
        if past.lost > 0 {
            told.push(lost(past.lost));
        } else if past.torn {
            told.push(
                "the end of the journal is lost: no result, but perhaps what calls took of the limits"
                    .to_owned(),
            );
        }
        if past.rescued > 0 {
            told.push(format!(
                "{} put into the folder for temporary files while the disk was full, and {} in the journal now",
                counted(past.rescued, "result was", "results were"),
                if past.rescued == 1 { "is" } else { "are" }
            ));
        }
        if past.uncounted {
            told.push(format!(
                "{path}-count is damaged: whether results are missing at the end of the journal cannot be told"
            ));
        }
        told
    }
}

/// What is said of results that were in a journal once.
pub(crate) fn lost(results: u64) -> String {
    format!(
        "{} lost at the end of the journal: {}",
        counted(results, "result is", "results are"),
        if results == 1 {
            "its call is run again"
        } else {
            "their calls are run again"
        }
    )
}

/// Where the journal of a run lies, if it has one.
///
/// # Errors
/// It would be the input or the output.
pub(crate) fn place(
    args: &RunArgs,
    output: &OutputTarget,
    is_worthless: bool,
) -> Result<Option<PathBuf>, Refusal> {
    if args.journal.no_journal {
        return Ok(None);
    }
    let path = match (&args.journal.path, output) {
        (Some(path), _) => path.clone(),
        (None, OutputTarget::File(path)) if !is_worthless && output.is_kept() => beside(path),
        _ => return Ok(None),
    };
    let id = |path: &Path| path.metadata().ok().as_ref().and_then(FileId::of);
    let others = [Some(args.input.as_path()), output.path()];
    for other in others.into_iter().flatten() {
        let files = FILES.map(|ending| with_ending(&path, ending));
        let is_same =
            |file: &PathBuf| file == other || id(file).is_some_and(|it| id(other) == Some(it));
        if files.iter().any(is_same) {
            let other = other.to_owned();
            return Err(Refusal::JournalIsOther { path, other });
        }
    }
    Ok(Some(path))
}

/// The journal that belongs to an output.
pub(crate) fn beside(output: &Path) -> PathBuf {
    with_ending(output, ENDING)
}

pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Refuses a journal that another process has.
///
/// # Errors
/// It is in use.
pub(crate) fn check_free(path: &Path) -> Result<(), OpenError> {
    match peek(path) {
        Ok(Peeked {
            holder: Some(holder),
            ..
        }) => Err(OpenError::InUse {
            path: path.to_owned(),
            holder,
        }),
        // Whatever else is wrong with it is told where that matters.
        _ => Ok(()),
    }
}

/// Keeps what is good of a damaged journal, and says so.
///
/// # Errors
/// It is in use or no journal, or the system refuses.
pub(crate) fn repair(path: &Path) -> Result<(), OpenError> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    match verify(path) {
        Ok(_) => {
            tell(format_args!("the journal {} is whole", path.display()));
            Ok(())
        }
        Err(damaged @ OpenError::Damaged { .. }) => {
            let salvaged = salvage(path)?;
            tell(damaged);
            tell(format_args!(
                "{} kept; the damaged journal is {} now",
                counted(salvaged.kept, "result was", "results were"),
                salvaged.damaged.display()
            ));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

impl JournalArgs {
    /// What becomes of calls that the journal knows.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            on_change: match self.on_change {
                None => OnChange::Refuse,
                Some(crate::args::OnChange::Rerun) => OnChange::Rerun,
                Some(crate::args::OnChange::Keep) => OnChange::Keep,
            },
            on_unknown: match self.on_unknown {
                crate::args::OnUnknown::Retry => OnUnknown::Retry,
                crate::args::OnUnknown::Skip => OnUnknown::Skip,
                crate::args::OnUnknown::Report => OnUnknown::Report,
            },
            retry_failed: self.retry_failed,
        }
    }
}

/// Calls that were in flight when an earlier run died: how many, and the names of the first ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnknownCalls {
    pub(crate) total: u64,
    names: Vec<String>,
}

impl UnknownCalls {
    /// The most names that are kept and shown.
    const SHOWN: usize = 20;

    pub(crate) fn add(&mut self, name: &str) {
        self.total += 1;
        if self.names.len() < Self::SHOWN {
            self.names.push(crate::values::text::shortened(name, 80));
        }
    }

    /// The names, and how many more there are.
    pub(crate) fn names(&self) -> String {
        let names = self.names.join(", ");
        match self.total - self.names.len() as u64 {
            0 => names,
            more => format!("{names} and {} more", grouped(more)),
        }
    }
}

/// The journal that a path names: it is one, or an output that has one beside it.
///
/// # Errors
/// There is none.
pub(crate) fn named(path: &Path) -> Result<PathBuf, Refusal> {
    let beside = beside(path);
    if is_database(path) {
        return Ok(path.to_owned());
    }
    if beside.symlink_metadata().is_ok() {
        return Ok(beside);
    }
    // An empty one may be where a run died as it began.
    if path.as_os_str().to_string_lossy().ends_with(ENDING) && path.is_file() {
        return Ok(path.to_owned());
    }
    Err(Refusal::NoJournal {
        path: path.to_owned(),
        beside,
    })
}

fn is_database(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"SQLite format 3\0"
}
