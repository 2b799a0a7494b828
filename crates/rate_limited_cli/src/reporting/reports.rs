//! `rate-limited report`: what a run did, as a page, as data or as a few lines.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rate_limited_report::{Report, is_report};
use rate_limited_store::{Peeked, peek, write_whole};

use crate::args::{ReportArgs, ReportForm, RunArgs};
use crate::exit::Exit;
use crate::recording::journal;
use crate::refusal::Refusal;
use crate::reporting::examples;
use crate::reporting::observer::recalled;
use crate::running::state::State;
use crate::telling::say::{complain, fitted, print, say};
use crate::values::text::shortened;
use crate::writing::output::OutputTarget;

/// What is looked at of a file that may be a report.
const BEGINNING: usize = 64;

/// Makes the report that the command line asks for.
pub(crate) fn report(args: &ReportArgs) -> Exit {
    match try_report(args) {
        Ok(()) => Exit::Success,
        Err(refusal) => {
            complain(&refusal);
            refusal.exit()
        }
    }
}

fn try_report(args: &ReportArgs) -> Result<(), Refusal> {
    let is_stdout = |path: &&PathBuf| path.as_os_str() == "-";
    let file = args.output.as_ref().filter(|path| !is_stdout(path));
    let file = file.map(|path| ReportFile::checked(path, args.format));
    let file = file.transpose()?;
    let path = journal::named(&args.path)?;
    let peeked = peek(&path)?;
    let output = peeked.job.get("output").filter(|output| !output.is_empty());
    let output = output.map_or_else(|| args.path.clone(), PathBuf::from);
    let mut report = of_journal(&path, &peeked, &output);
    if args.with_examples {
        // The one that was named may have been moved together with its journal.
        let named = journal::beside(&args.path) == path;
        let output = if named { &args.path } else { &output };
        let examples = examples::of(output);
        report.examples = examples.map_err(|source| unreadable(output, source))?;
    }
    if let Some(file) = file {
        return file.write(&report);
    }
    let form = args.format.unwrap_or(ReportForm::Text);
    let text = made(&report, form);
    print(match form {
        ReportForm::Text => fitted(text),
        ReportForm::Html | ReportForm::Json => text,
    });
    Ok(())
}

fn unreadable(output: &Path, source: io::Error) -> Refusal {
    let path = output.to_owned();
    Refusal::ReportExamples { path, source }
}

/// What a journal and the statistics beside it tell of all runs.
fn of_journal(journal: &Path, peeked: &Peeked, output: &Path) -> Report {
    let statistics = recalled(journal);
    let mut report = statistics
        .clone()
        .unwrap_or_default()
        .report(&title(output));
    let counts = peeked.counts;
    if statistics.is_none() {
        report.notes.push(
            "the journal has no statistics: this is what it knows of the calls, and no more"
                .to_owned(),
        );
        (report.calls.succeeded, report.calls.failed) = (counts.done, counts.failed);
    } else {
        report.take_counts(counts.done, counts.failed);
    }
    report.calls.unfinished = counts.unfinished;
    let requests = peeked.job.get("requests");
    report.calls.requests = requests.and_then(|requests| requests.parse().ok());
    if let Some(holder) = &peeked.holder {
        let holder = shortened(holder, 100);
        report
            .notes
            .push(format!("the run still goes on: {holder}"));
    }
    report
}

/// What is told of a run that is over, and of those before it.
pub(crate) fn of_run(state: &State, output: &OutputTarget) -> Report {
    let title = output.path().map_or_else(|| "a run".to_owned(), title);
    let mut report = state.observer.report(&title);
    let counts = state.tally.counts();
    report.calls.succeeded = counts.succeeded + counts.before.succeeded;
    report.calls.failed = counts.failed_in_all();
    report.calls.requests = state.total().map(|calls| calls + counts.bad_lines);
    report.calls.unfinished = counts.unfinished();
    report
}

fn title(output: &Path) -> String {
    let name = output.file_name().unwrap_or(output.as_os_str());
    name.to_string_lossy().into_owned()
}

fn made(report: &Report, form: ReportForm) -> String {
    match form {
        ReportForm::Html => report.to_html(),
        ReportForm::Json => report.to_json(),
        ReportForm::Text => report.to_text(),
    }
}

/// A file for a report: there is none, or it is a report.
#[derive(Debug)]
pub(crate) struct ReportFile {
    path: PathBuf,
    form: ReportForm,
}

impl ReportFile {
    /// The one that a run is to write at its end.
    ///
    /// # Errors
    /// It cannot be one, or is the input or the output.
    pub(crate) fn wanted(args: &RunArgs) -> Result<Option<ReportFile>, Refusal> {
        let Some(path) = &args.report else {
            return Ok(None);
        };
        let output = args.output.as_deref().map(Path::new);
        if Some(path.as_path()) == output || *path == args.input {
            return Err(Refusal::ReportOther { path: path.clone() });
        }
        ReportFile::checked(path, None).map(Some)
    }

    /// # Errors
    /// Its name does not say what it is; or it is there and no report, or cannot be made.
    fn checked(path: &Path, form: Option<ReportForm>) -> Result<ReportFile, Refusal> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let named = match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("html" | "htm") => Some(ReportForm::Html),
            Some("json") => Some(ReportForm::Json),
            Some("txt") => Some(ReportForm::Text),
            _ => None,
        };
        let path = path.to_owned();
        let Some(form) = form.or(named) else {
            return Err(Refusal::ReportForm { path });
        };
        match beginning(&path) {
            Ok(Some(found)) if !found.is_empty() && !is_report(&found) => {
                Err(Refusal::ReportOther { path })
            }
            Ok(_) => Ok(ReportFile { path, form }),
            Err(source) => Err(Refusal::ReportFile { path, source }),
        }
    }

    fn write(&self, report: &Report) -> Result<(), Refusal> {
        let text = made(report, self.form);
        let written = write_whole(&self.path, text.as_bytes(), false);
        written.map_err(|source| Refusal::ReportFile {
            path: self.path.clone(),
            source,
        })
    }

    /// Writes the report of a run whose results are safe, whatever becomes of this.
    pub(crate) fn write_at_the_end(&self, report: &Report, quiet: bool) {
        match self.write(report) {
            Err(refusal) => complain(refusal),
            Ok(()) if !quiet => say(format_args!("report: {}", self.path.display())),
            Ok(()) => {}
        }
    }
}

/// How a file begins; `None`: there is none, but there could be.
fn beginning(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            return folder.unwrap_or(Path::new(".")).metadata().map(|_| None);
        }
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut found = Vec::new();
    file.take(BEGINNING as u64).read_to_end(&mut found)?;
    Ok(Some(found))
}
