//! Why nothing was sent: bad usage or bad input, each with the next step.

use std::io;
use std::path::PathBuf;

use rate_limited::RunError;
use rate_limited::http::{BuildError, DescriptionError, UnknownApi};
use rate_limited::journal::{JournalError, Objection, OpenError};

use crate::exit::Exit;
use crate::reading::input::InputError;
use crate::reading::too_large::TooLarge;
use crate::recording::journal::UnknownCalls;
use crate::values::limit::{Limit, LimitError};
use crate::values::text::quoted;
use crate::writing::output::OutputError;
use crate::writing::prefix::OriginError;

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(
        "the base URL {} is not usable: {reason}; give another --base-url",
        sourced(shown, source_name)
    )]
    BaseUrl {
        /// The URL; empty if it may hold a secret.
        shown: String,
        /// The option or the variable that says it.
        source_name: &'static str,
        reason: String,
    },
    #[error("the pool {} is not usable: {why}", path.display())]
    Pool { path: PathBuf, why: String },
    #[error("failed to set up the client: {0}")]
    Client(BuildError),
    #[error(
        "limit {limit} is of an unknown resource {}: known are {known}, as in \
         --limit requests=500/1m",
        quoted(&limit.name)
    )]
    UnknownResource { limit: Limit, known: String },
    #[cfg(feature = "simulate")]
    #[error("--limit {limit}: the simulated {api} has {known}")]
    NotSimulated {
        limit: Limit,
        api: &'static str,
        known: String,
    },
    #[error(
        "{0}; `rate-limited apis` lists all that are known, and --api FILE.toml takes one's own"
    )]
    UnknownApi(UnknownApi),
    #[error("the description {path} of an API is not usable: {error}")]
    Description {
        path: String,
        error: Box<DescriptionError>,
    },
    #[error(
        "{api} has no tier {}: {}",
        quoted(tier),
        if known.is_empty() { "tell its limits with --limit".to_owned() } else { format!("known are {known}") }
    )]
    UnknownTier {
        api: String,
        tier: String,
        known: String,
    },
    #[error("{0} is at an address of your own: pass --base-url, such as {1}")]
    NoBaseUrl(String, String),
    #[cfg(feature = "simulate")]
    #[error(
        "limit {limit} is for one model, and the simulated API needs a limit for the others: add {}=QUOTA/WINDOW of the \
         same window",
        limit.name
    )]
    OthersNotSimulated { limit: Limit },
    #[cfg(feature = "simulate")]
    #[error(
        "limit {limit} is for all models that fit, and the simulated API knows them by their whole names: write a limit \
         for each"
    )]
    PatternNotSimulated { limit: Limit },
    #[error(
        "limit {limit} is for one model, and {resource} has one limit for all calls of this API: write {} without brackets",
        limit.name
    )]
    NoParts { limit: Limit, resource: String },
    #[error("limit {limit} lets no request pass, as each takes 1: write {instead}")]
    BelowOne {
        limit: Box<Limit>,
        instead: Box<Limit>,
    },
    #[error("{0}: raise the limit if the API allows it, or lower max_tokens in the requests")]
    NothingFits(Box<TooLarge>),
    #[error("the schema {} cannot be used: {why}; mend it, or name another --schema", path.display())]
    Schema { path: PathBuf, why: String },
    #[error(
        "{} has no ending that says what the report is: name it .html, .json or .txt",
        path.display()
    )]
    ReportForm { path: PathBuf },
    #[error("{} is there and no report: move it away, or name another file", path.display())]
    ReportOther { path: PathBuf },
    #[error("failed to read the errors of {} (--with-examples): {source}", path.display())]
    ReportExamples { path: PathBuf, source: io::Error },
    #[error("failed to write the report {}: {source}", path.display())]
    ReportFile { path: PathBuf, source: io::Error },
    /// What keeps a plan from being made, in words.
    #[error("{0}")]
    Plan(String),
    /// What is wrong with prices, in words.
    #[error("{0}")]
    Cost(String),
    /// What is wrong with a prompt or with rows, in words.
    #[error("{0}")]
    Rows(String),
    #[error("{first} and {second} are for one window: keep one of them")]
    Twice { first: String, second: String },
    #[error(
        "it is not said where the results go: pass -o results.jsonl, or -o - for standard output"
    )]
    NoOutput,
    #[error("the input {0} has no requests: write one request a line, such as {EXAMPLE}")]
    Empty(String),
    #[error(
        "there is no key for {url}: set {variable}, or pass --key-file PATH; to try without one, \
         pass --simulate"
    )]
    NoKey { url: String, variable: String },
    #[error("{api} asks for the header {name} ({why}): pass --header \"{name}: …\"")]
    NoHeader {
        api: String,
        name: String,
        why: String,
    },
    #[error("the environment variable {} that --key-env names is not set: export it first", quoted(.0))]
    NoVariable(String),
    #[error("{reason}: check what {} holds", quoted(variable))]
    BadKey {
        variable: String,
        reason: BuildError,
    },
    #[error(
        "failed to read the key file {}: {source}; give another --key-file, or export the key as \
         OPENAI_API_KEY",
        path.display()
    )]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("{reason}: the key file {} must hold the key and nothing else", path.display())]
    BadKeyFile { path: PathBuf, reason: String },
    #[error("failed to start: {0}")]
    System(io::Error),
    #[error(
        "failed to start: only {free} more files can be opened, and {needed} are needed: raise the limit, \
         such as by `ulimit -n 256`"
    )]
    FewFiles { free: usize, needed: usize },
    #[error(transparent)]
    Run(RunError),
    #[error("{}", journal_told(.0))]
    Journal(#[from] OpenError),
    #[error("{0}; --repair keeps what is good of a damaged journal")]
    JournalRead(#[from] JournalError),
    #[error(
        "the journal {} would be the same file as {}: give another --journal PATH",
        path.display(), other.display()
    )]
    JournalIsOther { path: PathBuf, other: PathBuf },
    #[error("{}", objection_told(objection, unknown))]
    Objection {
        objection: Objection,
        /// The names of calls of which it is not known whether they were answered, as far as they are
        /// known.
        unknown: String,
    },
    #[error(
        "{} is no journal, and there is no {}: name the output of a run, or its journal",
        path.display(), beside.display()
    )]
    NoJournal { path: PathBuf, beside: PathBuf },
    #[cfg(feature = "simulate")]
    #[error(
        "failed to listen on port {port} of 127.0.0.1: {source}; give another --port, or 0 for any"
    )]
    Port { port: u16, source: io::Error },
}

impl Refusal {
    /// The refusal of inputs that are not those of the journal, or of calls that may have been answered.
    pub(crate) fn objection(objection: Objection, unknown: &UnknownCalls) -> Refusal {
        let unknown = unknown.names();
        Refusal::Objection { objection, unknown }
    }

    /// How the command ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Refusal::Journal(_) | Refusal::JournalRead(_) => Exit::Disk,
            _ => Exit::Refused,
        }
    }
}

/// The refusal of a prompt or of rows.
pub(crate) fn refused(words: impl Into<String>) -> Refusal {
    Refusal::Rows(words.into())
}

impl From<OriginError> for Refusal {
    fn from(error: OriginError) -> Refusal {
        match error {
            OriginError::Output(error) => Refusal::System(error),
            OriginError::Journal(error) => Refusal::JournalRead(error),
        }
    }
}

fn journal_told(error: &OpenError) -> String {
    let advice = match error {
        OpenError::Damaged { .. } => ": pass --repair",
        OpenError::Network { .. } | OpenError::NoRoom { .. } => " with --journal PATH",
        _ => "",
    };
    format!("{error}{advice}")
}

fn objection_told(objection: &Objection, unknown: &str) -> String {
    match objection {
        Objection::Changed(_) => format!(
            "{objection}. Nothing was sent: pass --on-change rerun to send what is changed and new, --on-change \
             keep to keep the old answers and send what is new, --journal PATH for a journal of its own, or \
             --fresh to start over"
        ),
        Objection::Unknown(_) => format!(
            "{objection}{}{unknown}. Nothing was sent: pass --on-unknown retry to send them again, or --on-unknown \
             skip to leave them alone",
            if unknown.is_empty() { "" } else { ": " }
        ),
        _ => objection.to_string(),
    }
}

fn sourced(shown: &str, source: &str) -> String {
    match (shown, source) {
        ("", source) => format!("of {source}"),
        (shown, source) => format!("{} of {source}", quoted(shown)),
    }
}

/// The shortest request that chat APIs take.
const EXAMPLE: &str =
    r#"{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}"#;
