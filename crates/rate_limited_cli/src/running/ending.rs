//! How a run ended: the reason, the exit code, the closing words.

use std::path::PathBuf;

use rate_limited::Stop;
use rate_limited_store::JournalError;

use crate::args::OnUnknown;
use crate::exit::Exit;
use crate::running::again;
use crate::running::execute::Done;
use crate::running::patience::TooLong;
use crate::running::price;
use crate::running::signals::Asked;
use crate::running::state::State;
use crate::running::stop::Cause;
use crate::running::tally::Counts;
use crate::telling::binding;
use crate::telling::found;
use crate::telling::members;
use crate::telling::opening::told_of_unknown;
use crate::telling::say::{complain, tell};
use crate::values::duration::Human;
use crate::values::text::{counted, grouped};
use crate::writing::output::{OutputError, OutputTarget};
use crate::writing::record::code;

/// Why a run ended before all was done.
#[derive(Debug)]
pub(crate) enum Reason {
    Signal(Asked),
    Output(OutputError),
    Input(String),
    /// The journal cannot be written, or read.
    Journal(JournalError),
    /// An answer said that no call can succeed; in its words.
    Fatal(String),
    Deadline,
    /// All that was left had to wait for too long.
    Wait(TooLong),
    Stalled,
    /// So many calls may cost more than is left.
    TooDear(u64),
}

impl Reason {
    /// The reason, from what the run was asked and what it says of itself.
    pub(crate) fn of(
        cause: Option<Cause>,
        error: Option<JournalError>,
        stop: Option<Stop>,
        counts: &Counts,
    ) -> Option<Reason> {
        match (cause, stop) {
            (Some(Cause::Output(error)), _) => Some(Reason::Output(error)),
            (Some(Cause::Journal(error)), _) => Some(Reason::Journal(error)),
            _ if error.is_some() => error.map(Reason::Journal),
            (Some(Cause::Input(error)), _) => Some(Reason::Input(error)),
            (None, None) if counts.too_dear > 0 => Some(Reason::TooDear(counts.too_dear)),
            // All was done before the signal was heard.
            (_, None) => None,
            (Some(Cause::Signal(asked)), _) => Some(Reason::Signal(asked)),
            (Some(Cause::Wait(wait)), _) => Some(Reason::Wait(wait)),
            (None, Some(Stop::Deadline)) => Some(Reason::Deadline),
            (None, Some(Stop::Stalled)) => Some(Reason::Stalled),
            (None, Some(_)) => Some(Reason::Fatal(counts.fatal.clone().unwrap_or_default())),
        }
    }

    /// The reason as lines of calls that were not run say it.
    pub(crate) fn in_lines(&self) -> &'static str {
        match self {
            Reason::Signal(_) => "the run was interrupted",
            Reason::Output(_) => "the output could not be written: the run ended",
            Reason::Input(_) => "the input could not be read on: the run ended",
            Reason::Journal(_) => "the journal could not be used: the run ended",
            Reason::Fatal(_) => "an answer said that no call can succeed: the run ended",
            Reason::Deadline => "the deadline of the run came",
            Reason::Wait(_) => "all that was left had to wait for too long: the run ended",
            Reason::TooDear(_) => "what was left may cost too much: the run ended",
            Reason::Stalled => "no call succeeded for too long: the run ended",
        }
    }

    fn told(&self) -> String {
        match self {
            Reason::Signal(asked) => format!("interrupted by {}", asked.name),
            Reason::Output(error) => error.to_string(),
            Reason::Input(error) => error.clone(),
            Reason::Journal(error @ JournalError::Damaged(_)) => {
                format!("{error}; --repair keeps what is good of it")
            }
            Reason::Journal(error) => error.to_string(),
            Reason::Fatal(answer) => {
                format!("stopped, as no call can succeed: {answer}; mend that, and run again")
            }
            Reason::Deadline => "stopped at the deadline (--deadline)".to_owned(),
            Reason::Wait(wait) => format!("stopped: {wait}"),
            Reason::TooDear(calls) => format!(
                "stopped, as {} left may cost more than is left of --max-cost",
                counted(*calls, "call that is", "calls that are")
            ),
            Reason::Stalled => "stopped, as no call succeeded for 30 minutes".to_owned(),
        }
    }

    fn is_a_fault(&self) -> bool {
        !matches!(
            self,
            Reason::Signal(_) | Reason::Deadline | Reason::Wait(_) | Reason::TooDear(_)
        )
    }

    fn exit(&self, counts: &Counts) -> Exit {
        let nothing_sent = counts.over() == counts.bad_lines && counts.interrupted == 0;
        match self {
            Reason::Signal(asked) => Exit::Signal(asked.number),
            Reason::Output(OutputError::Closed(_)) => Exit::ReaderGone,
            Reason::Output(OutputError::Elsewhere { .. }) => Exit::Refused,
            Reason::Output(_) | Reason::Journal(_) => Exit::Disk,
            Reason::Input(_) if nothing_sent => Exit::Refused,
            _ => Exit::Stopped,
        }
    }
}

/// Why a pool stops; each of its members says why below.
const NO_MEMBER_LEFT: &str =
    "stopped, as no member of the pool is left: mend what they say, and run again";

/// A run that is over.
pub(crate) struct Ending<'a> {
    pub(crate) state: &'a State,
    pub(crate) done: Done,
    /// Where the requests came from, if that is a file.
    pub(crate) input: Option<PathBuf>,
    /// Whether requests were made of rows, which shells cannot pick out.
    pub(crate) has_rows: bool,
    /// Where the results are.
    pub(crate) output: OutputTarget,
    /// Where the journal is, if there is one.
    pub(crate) journal: Option<PathBuf>,
    pub(crate) on_unknown: OnUnknown,
}

impl Ending<'_> {
    /// Says how it ended, and gives the exit code.
    pub(crate) fn close(self, quiet: bool) -> Exit {
        let counts = self.state.tally.counts();
        // A signal that came too late to keep anything from being done changes nothing.
        let in_time = counts.unfinished() > 0 || self.done.unread;
        let reason = self
            .done
            .reason
            .as_ref()
            .filter(|why| in_time || why.is_a_fault());
        let exit = match reason {
            Some(reason) => reason.exit(&counts),
            None if counts.failed_in_all() + counts.left_alone > 0 => Exit::SomeFailed,
            None => Exit::Success,
        };
        if exit == Exit::ReaderGone {
            return exit;
        }
        match reason {
            Some(Reason::Fatal(_)) if self.state.meters.is_pool() => complain(NO_MEMBER_LEFT),
            Some(reason) if reason.is_a_fault() => complain(reason.told()),
            Some(reason) if !quiet => tell(reason.told()),
            _ => {}
        }
        if !quiet {
            self.summary(&counts, exit).iter().for_each(tell);
        }
        exit
    }

    fn summary(&self, counts: &Counts, exit: Exit) -> Vec<String> {
        let mut lines = vec![self.calls(counts), self.attempts(counts)];
        lines.extend(self.cost());
        lines.extend(found::told(&self.state.view(), &self.state.meters));
        lines.extend(members::told(self.state));
        let latency = self.state.caller.mean_latency();
        lines.extend(binding::told(
            &self.state.sightings,
            counts,
            &self.state.meters,
            latency,
            &self.state.view(),
        ));
        if counts.failed > 0 {
            lines.push(format!("failed: {}", codes(counts)));
        }
        if self.input.is_none() {
            // Of a file they were told before.
            let unknown = self.state.unknown_calls();
            lines.extend(told_of_unknown(&unknown, self.on_unknown));
        }
        lines.extend(self.last_error(counts));
        if exit == Exit::Disk && matches!(self.done.reason, Some(Reason::Output(_))) {
            lines.push(self.lost(counts));
            return lines;
        }
        if !matches!(
            self.done.reason,
            Some(Reason::Output(OutputError::Elsewhere { .. }))
        ) {
            lines.push(format!("results: {}", shown(&self.output)));
            lines.extend(match &self.journal {
                Some(_) => self.next_run(counts),
                None => self.next_step(counts),
            });
        }
        lines
    }

    /// What the same command does again.
    fn next_run(&self, counts: &Counts) -> Option<String> {
        if let Some(Reason::TooDear(_)) = self.done.reason {
            return Some("next: the same command with a higher --max-cost goes on".to_owned());
        }
        if self.done.unread || counts.unfinished() > 0 {
            let input = if self.input.is_none() {
                " with the same input"
            } else {
                ""
            };
            return Some(format!(
                "next: the same command again{input} goes on where it stopped"
            ));
        }
        let fails = |count: u64| (count > 0).then_some(());
        let codes = |code: &str| counts.codes.get(code).copied().unwrap_or_default();
        let anew = codes(code::NEVER_FITS) + counts.bad_lines;
        let next = fails(counts.failed_in_all() - anew.min(counts.failed_in_all()));
        let retry = next.map(|()| {
            "next: the same command with --retry-failed sends the failed calls again".to_owned()
        });
        let left_alone = fails(counts.left_alone).map(|()| {
            "next: the same command with --on-unknown retry sends those that were left alone"
                .to_owned()
        });
        retry.or(left_alone).or_else(|| {
            fails(anew).map(|()| {
                "next: mend the lines that have an \"error\", and run the same command again"
                    .to_owned()
            })
        })
    }

    /// The last error, where it may be why calls have no result. A fatal one was told already.
    fn last_error(&self, counts: &Counts) -> Option<String> {
        let failed = counts.failed - counts.bad_lines;
        let wanted = match self.done.reason {
            Some(Reason::Fatal(_)) => false,
            Some(Reason::Output(_) | Reason::Input(_)) => failed > 0,
            _ => failed + counts.unfinished() > 0,
        };
        let error = wanted.then(|| self.state.last_error()).flatten()?;
        // Where others succeeded and none failed, it frightens for nothing.
        let held_up = matches!(self.done.reason, Some(Reason::Wait(_) | Reason::Stalled));
        let failed_none = failed == 0 && counts.succeeded > 0 && !held_up;
        let which = if failed_none {
            "last error, which failed no call"
        } else {
            "last error"
        };
        Some(format!("{which}: {error}"))
    }

    /// How much of the output there is, after it could not be written on.
    fn lost(&self, counts: &Counts) -> String {
        let written = self.state.outlet.lines_written();
        if let Some(Reason::Output(OutputError::Recorded(_))) = &self.done.reason {
            return format!(
                "{} in {}; next: the same command with --repair",
                counted(written, "line is", "lines are"),
                shown(&self.output)
            );
        }
        if let Some(journal) = &self.journal {
            let remedy = match &self.done.reason {
                Some(Reason::Output(error)) if error.is_for_want_of_room() => "make room",
                _ => "mend that",
            };
            return format!(
                "{} in {}; no result is lost: what is missing there is in the journal {}; next: {remedy}, \
                 and run the same command again",
                counted(written, "line is", "lines are"),
                shown(&self.output),
                journal.display()
            );
        }
        let lost = counts.over().saturating_sub(written);
        format!(
            "{} to {}, {} lost; next: make room or choose another output, and run again",
            counted(written, "line was written", "lines were written"),
            shown(&self.output),
            counted(lost, "result is", "results are")
        )
    }

    fn calls(&self, counts: &Counts) -> String {
        let mut parts = vec![
            format!("{} succeeded", grouped(counts.succeeded)),
            format!("{} failed", grouped(counts.failed)),
        ];
        let more = [
            (counts.interrupted, ["cut off in flight"; 2]),
            (counts.left_alone, ["left alone"; 2]),
            (counts.not_run, ["not run"; 2]),
            (counts.skipped, ["bad line left out", "bad lines left out"]),
        ];
        parts.extend(
            more.iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, [one, many])| counted(*count, one, many)),
        );
        let done = format!("{} in {}", parts.join(", "), Human(self.done.elapsed));
        let before = counts.before;
        match (before.total(), before.failed) {
            (0, _) => done,
            (total, 0) => format!("{done}; {} done before", grouped(total)),
            (total, failed) => format!(
                "{done}; {} done before, {} of them failed",
                grouped(total),
                grouped(failed)
            ),
        }
    }

    fn attempts(&self, counts: &Counts) -> String {
        let attempts = format!(
            "{}, {}, {}",
            counted(self.state.caller.attempts(), "attempt", "attempts"),
            counted(self.state.caller.retries(), "retry", "retries"),
            counted(self.done.numbers.refusals, "refusal", "refusals"),
        );
        match counts.tokens_used {
            // Many APIs have none.
            0 => attempts,
            used => format!("{attempts}, {} used", counted(used, "token", "tokens")),
        }
    }

    /// What the run and those before it have cost.
    fn cost(&self) -> Option<String> {
        let (spent, most) = self.state.spent()?;
        let [spent, most] = [spent, most].map(price::shown);
        // What failed may have cost less than it was counted for.
        let at_most = if self.done.numbers.failures > 0 {
            "at most "
        } else {
            ""
        };
        Some(format!("cost: {at_most}{spent} of {most}"))
    }

    fn next_step(&self, counts: &Counts) -> Option<String> {
        if self.done.unread {
            return Some(
                "next: lines that were not read have no result; send them again".to_owned(),
            );
        }
        let left = counts.failed + counts.unfinished();
        if left == 0 {
            return None;
        }
        let files = self.input.as_deref().zip(self.output.kept_file());
        let files = files.filter(|_| !self.has_rows);
        Some(match files {
            Some((input, output)) => format!(
                "next: the requests without a result, to be run again once they can succeed:\n  {}",
                again::command(input, output)
            ),
            None => {
                "next: lines with an \"error\" have no result; send their requests again".to_owned()
            }
        })
    }
}

fn shown(output: &OutputTarget) -> String {
    match output {
        OutputTarget::Stdout => "standard output".to_owned(),
        OutputTarget::File(path) => path.display().to_string(),
    }
}

/// The codes of what failed, the most frequent ones first.
fn codes(counts: &Counts) -> String {
    const SHOWN: usize = 5;
    let mut codes: Vec<_> = counts.codes.iter().collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let more = codes.len().saturating_sub(SHOWN);
    let mut shown: Vec<_> = codes
        .iter()
        .take(SHOWN)
        .map(|(code, count)| format!("{} × {code}", grouped(**count)))
        .collect();
    if more > 0 {
        shown.push(format!("{more} other codes"));
    }
    shown.join(", ")
}
