//! Progress for machines.

use std::time::Duration;

use rate_limited::{Amount, View};
use serde_json::{Value, json};

use crate::calling::meters::Meters;
use crate::running::state::State;
use crate::running::tally::Counts;
use crate::telling::standing::{self, Standing};
use crate::telling::status;
use crate::telling::when;

/// The most parts of limits that are told.
const PARTS_SHOWN: usize = 50;

/// How the run stands, as one line of JSON: times in seconds, money in dollars, amounts in units.
pub(crate) fn line(state: &State, view: &View, counts: &Counts, left: Option<Duration>) -> String {
    let progress = &view.progress;
    let place = state.meters.bill_place();
    let cost = state.meters.bill().zip(view.resources.get(place));
    let (limits, left_out) = limits(view, &state.meters);
    let dollars = |amount: Amount| amount.as_micros() as f64 / 1e9;
    json!({
        "done": counts.before.total() + counts.calls_over(),
        "total": state.total(),
        "failed": counts.failed_in_all(),
        "in_flight": progress.in_flight,
        "max_concurrent": progress.max_concurrent,
        "attempts": progress.attempts,
        "refusals": progress.refusals,
        "failures": progress.failures,
        "timeouts": progress.timeouts,
        "invalid": progress.invalid,
        "waits_for": status::waits_for(view, &state.meters),
        "wait_seconds": view.wait_left.map(|left| left.as_secs_f64()),
        "left_seconds": left.map(|left| left.as_secs_f64()),
        "limits": limits,
        "limits_left_out": left_out,
        "cost_dollars": cost.map(|(_, it)| dollars(it.charged + it.held)),
        "cost_dollars_max": cost.map(|(bill, _)| dollars(bill.most)),
        "last_error": status::last_error(view),
    })
    .to_string()
}

/// The limits with the fullest of their parts, and how many of these are left out.
fn limits(view: &View, meters: &Meters) -> (Vec<Value>, usize) {
    let (shown, left_out) = standing::fullest(view, meters, PARTS_SHOWN);
    let limit = |it: &Standing<'_>| {
        json!({
            "name": it.name(),
            "used": it.used(),
            "limit": it.view.limit.map(Amount::as_units),
            "told": it.told,
            "window_seconds": it.view.window.as_secs_f64(),
            "resets_at": it.window_end().and_then(when::utc),
        })
    };
    (shown.iter().map(limit).collect(), left_out)
}
