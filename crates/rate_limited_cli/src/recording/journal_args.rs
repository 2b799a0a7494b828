//! What of the command line is about journals, and what is told of runs after the fact.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help, which is no Markdown"
)]

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::exit;

/// What is kept of a run, and how the next one goes on with it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Journal")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct JournalArgs {
    /// Where the journal lies [default: OUTPUT.journal; none where the output is no file]
    ///
    /// It must be on a disk of this machine, not on a network file system.
    #[arg(long = "journal", value_name = "PATH", conflicts_with = "no_journal")]
    pub(crate) path: Option<PathBuf>,
    /// Keep no journal: a run that is killed starts over
    #[arg(long)]
    pub(crate) no_journal: bool,
    /// Start over: the journal is removed and the output replaced
    #[arg(long, alias = "overwrite")]
    pub(crate) fresh: bool,
    /// Send calls that failed for good again
    #[arg(long, conflicts_with = "no_journal")]
    pub(crate) retry_failed: bool,
    /// What to do if requests are other ones than those that were answered [default: nothing is sent]
    ///
    /// A request is known by its custom_id, else by its content; what may have changed is the content, the
    /// path, or the API. Lines that are only moved, added or taken away are no change.
    #[arg(long, value_name = "WHAT", value_enum, conflicts_with = "no_journal")]
    pub(crate) on_change: Option<OnChange>,
    /// What to do with calls that may have been done: in flight when an earlier run died, or cut off in this
    /// one after they had left
    ///
    /// A GET, and what the API recognises by an idempotency key, is sent again in any case in the run itself.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub(crate) on_unknown: OnUnknown,
    /// What a result survives once it is told
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value_t,
        conflicts_with = "no_journal"
    )]
    pub(crate) durability: Durability,
    /// Check all of the journal first, and keep what is good of a damaged one
    ///
    /// Calls whose results are damaged are run again. The damaged file stays, as JOURNAL.damaged-1.
    #[arg(long, conflicts_with_all = ["no_journal", "fresh"])]
    pub(crate) repair: bool,
}

/// What to do if requests are other ones than those that were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnChange {
    /// Send what is changed and what is new.
    Rerun,
    /// Keep the old answers, and send what is new.
    Keep,
}

/// What to do with calls that may have been done: in flight when an earlier run died, or cut off in this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnUnknown {
    /// Send them again.
    #[default]
    Retry,
    /// Leave them alone, with an error in their lines.
    Skip,
    /// Send nothing, and name them.
    Report,
}

/// What a result survives once it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// The death of the process.
    #[default]
    Process,
    /// A loss of power, too; slower.
    Power,
}

/// Show how far a run is: its calls, what is unknown, which process runs it.
///
/// It changes nothing, and may be asked while the run goes on.
#[derive(Debug, Args)]
#[command(after_long_help = exit::JOURNAL_HELP)]
pub(crate) struct StatusArgs {
    /// The output of the run, or its journal
    #[arg(value_name = "OUTPUT|JOURNAL")]
    pub(crate) path: PathBuf,
    /// Read all of the journal and check it: exit code 4 if it is damaged
    #[arg(long)]
    pub(crate) verify: bool,
}

/// Tell what a run did: how full each limit was, latencies, attempts, refusals, failures, the slowest calls.
///
/// It counts all runs that went on with one another, and may be asked while one goes on. Without -o it prints a few
/// lines. Calls are named; no prompt and no answer is in a report.
#[derive(Debug, Args)]
#[command(after_long_help = exit::JOURNAL_HELP)]
pub(crate) struct ReportArgs {
    /// The output of the run, or its journal
    #[arg(value_name = "OUTPUT|JOURNAL")]
    pub(crate) path: PathBuf,
    /// Where the report goes: a page with pictures (.html), data (.json) or lines (.txt); - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What it is, whatever its file is called
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) format: Option<ReportForm>,
    /// Show what errors said, too, of some calls: it may have parts of prompts
    #[arg(long)]
    pub(crate) with_examples: bool,
}

/// What a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportForm {
    /// A page with pictures, which needs nothing else.
    Html,
    /// All of its data.
    Json,
    /// A few lines.
    Text,
}

/// Remove the journal of a run and all that belongs to it; the output stays.
///
/// What is only in the journal is lost: results that the output does not have, and how far the run came.
#[derive(Debug, Args)]
#[command(after_long_help = exit::JOURNAL_HELP)]
pub(crate) struct CleanArgs {
    /// The output of the run, or its journal
    #[arg(value_name = "OUTPUT|JOURNAL")]
    pub(crate) path: PathBuf,
}
