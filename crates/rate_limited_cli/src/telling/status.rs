//! Where a run stands, in words.

use std::time::{Duration, SystemTime};

use rate_limited::{View, Wait, WaitingOn};

use crate::calling::meter::Meter;
use crate::calling::meters::Meters;
use crate::running::price;
use crate::telling::standing::{self, Standing};
use crate::telling::when;
use crate::values::duration::Human;
use crate::values::text::{grouped, shortened};

/// The most characters of an error that a line of progress shows.
const ERROR_CHARS_MAX: usize = 100;

/// From this wait on the moment is told at which a limit is back.
const WAIT_WITH_A_MOMENT: Duration = Duration::from_secs(60);
/// The most models whose limits a line of progress shows.
const PARTS_SHOWN: usize = 6;

/// How many cells the bar of a resource has.
const CELLS: usize = 5;

/// How resources are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// In figures.
    Figures,
    /// With a small bar before the figures.
    Bars,
}

/// Each resource as `used/limit`, and what was told where a lower limit is in force; of many models the fullest.
pub(crate) fn resources(view: &View, meters: &Meters, shown: Shown) -> Option<String> {
    let (shown_of, left_out) = standing::fullest(view, meters, PARTS_SHOWN);
    let mut words: Vec<_> = shown_of.iter().map(|it| one(it, shown)).collect();
    if left_out > 0 {
        words.push(format!("{} less full", grouped(left_out as u64)));
    }
    let money = meters.bill().zip(view.resources.get(meters.bill_place()));
    words.extend(money.map(|(bill, it)| {
        let [taken, most] = [it.charged + it.held, bill.most].map(price::shown);
        format!("cost {taken}/{most}")
    }));
    (!words.is_empty()).then(|| words.join(", "))
}

fn one(it: &Standing<'_>, shown: Shown) -> String {
    let (name, used) = (it.name(), whole(it.used()));
    let Some(told) = it.told else {
        let limit = it.in_force().map(whole);
        return format!("{name} {used}/{}", limit.as_deref().unwrap_or("?"));
    };
    let limit = it.in_force().unwrap_or(told);
    let bar = match shown {
        Shown::Figures => String::new(),
        Shown::Bars => format!("{} ", bar(it.share())),
    };
    let told = if limit < told {
        format!(" (told {})", whole(told))
    } else {
        String::new()
    };
    format!("{name} {bar}{used}/{}{told}", whole(limit))
}

/// A bar of a few cells; it is full from the whole on.
#[expect(clippy::cast_sign_loss, reason = "a share is not below zero")]
fn bar(share: f64) -> String {
    let full = ((share * CELLS as f64).round() as usize).min(CELLS);
    format!("{}{}", "▰".repeat(full), "▱".repeat(CELLS - full))
}

/// Attempts that were made again, and why.
pub(crate) fn retries(view: &View) -> Option<String> {
    let progress = &view.progress;
    let why = [
        (progress.refusals, "refused"),
        (progress.failures - progress.timeouts, "failed"),
        (progress.timeouts, "timed out"),
        (progress.invalid, "invalid"),
    ];
    let why: Vec<_> = why
        .into_iter()
        .filter(|(attempts, _)| *attempts > 0)
        .map(|(attempts, why)| format!("{} {why}", grouped(attempts)))
        .collect();
    (!why.is_empty()).then(|| format!("attempts: {}", why.join(", ")))
}

/// What keeps the next call from being sent, and for how long.
pub(crate) fn waits_for(view: &View, meters: &Meters) -> Option<String> {
    let Wait { on, .. } = view.wait?;
    let for_time = view
        .wait_left
        .map_or_else(String::new, |left| format!(" for {}", Human(left)));
    let in_flight = view.progress.in_flight;
    let name = |place: usize| {
        let other = if meters.is_bill(place) {
            "cost"
        } else {
            "a limit"
        };
        let part = || {
            let part = view.resources.get(place)?;
            part.part_of.map(|_| part.resource.name().to_owned())
        };
        let known = meters.name(place).or_else(part);
        known.unwrap_or_else(|| other.to_owned())
    };
    Some(match on {
        // What was spent does not come back, whatever time passes; what is held may.
        WaitingOn::Quota(id) if meters.is_bill(id.index()) => {
            "cost: held by calls in flight".to_owned()
        }
        WaitingOn::Quota(id) => {
            let until = meters.get(id.index()).and_then(|meter| until(view, meter));
            let until = until.unwrap_or_default();
            format!("{}: full{for_time}{until}", name(id.index()))
        }
        WaitingOn::Paused {
            resource,
            told: true,
        } => {
            format!("{}: paused by the server{for_time}", name(resource.index()))
        }
        WaitingOn::Paused { resource, .. } => {
            format!("{}: refused, pausing{for_time}", name(resource.index()))
        }
        WaitingOn::Refused { told: true } => format!("paused by the server{for_time}"),
        WaitingOn::Refused { .. } => format!("refused, pausing{for_time}"),
        WaitingOn::Member { member, told } => {
            let name = view.members.get(member.index())?.name.as_str();
            let why = if told {
                "paused by the server"
            } else {
                "resting after failures"
            };
            format!("{name}: {why}{for_time}")
        }
        WaitingOn::Concurrency => format!("{in_flight} in flight binds"),
        WaitingOn::Unpause => "paused".to_owned(),
        WaitingOn::InFlight if in_flight > 0 => "waiting for answers".to_owned(),
        WaitingOn::Backoff => format!("backing off{for_time}"),
        WaitingOn::Probe => format!("too many failures: probing, quiet{for_time}"),
        _ => return None,
    })
}

/// Until when a limit that follows the calendar is full, where that is a while.
fn until(view: &View, meter: &Meter) -> Option<String> {
    let left = view.wait_left.filter(|left| *left >= WAIT_WITH_A_MOMENT)?;
    meter.limit.calendar.as_ref()?;
    let moment = when::local(SystemTime::now() + left)?;
    Some(format!(", until {moment}"))
}

/// Why the run holds back: the last error, while it probes, pauses after refusals or backs off.
pub(crate) fn trouble(view: &View) -> Option<String> {
    let held_back = matches!(
        view.wait?.on,
        WaitingOn::Probe | WaitingOn::Paused { .. } | WaitingOn::Member { .. } | WaitingOn::Backoff
    );
    held_back.then(|| last_error(view)).flatten()
}

/// Whether so much fails that only single attempts are made until one succeeds.
pub(crate) fn probes(view: &View) -> bool {
    view.wait.is_some_and(|wait| wait.on == WaitingOn::Probe)
}

/// The error of the latest attempt that did not succeed, on one short line that says so.
pub(crate) fn last_error(view: &View) -> Option<String> {
    error_text(view).map(|text| format!("last error: {text}"))
}

/// The error of the latest attempt that did not succeed, on one short line.
pub(crate) fn error_text(view: &View) -> Option<String> {
    let error = view.last_error.as_ref()?;
    Some(shortened(&error.to_string(), ERROR_CHARS_MAX))
}

/// A number without its fraction, with its thousands apart.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast stops at the ends of the range, and nothing is counted with it"
)]
pub(crate) fn whole(number: f64) -> String {
    grouped(number.round() as u64)
}
