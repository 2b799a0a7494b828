//! Progress for machines.

use std::time::Duration;

use rate_limited::{Amount, View};
use serde_json::{Value, json};

use crate::meters::Meters;
use crate::state::State;
use crate::status;
use crate::tally::Counts;
use crate::when;

/// How the run stands, as one line of JSON: times in seconds, money in dollars, amounts in units.
pub(crate) fn line(state: &State, view: &View, counts: &Counts, left: Option<Duration>) -> String {
    let progress = &view.progress;
    let cost = state.meters.bill().zip(view.resources.last());
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
        "limits": limits(view, &state.meters),
        "cost_dollars": cost.map(|(_, it)| dollars(it.charged + it.held)),
        "cost_dollars_max": cost.map(|(bill, _)| dollars(bill.most)),
        "last_error": status::last_error(view),
    })
    .to_string()
}

fn limits(view: &View, meters: &Meters) -> Vec<Value> {
    let limit = |meter: &crate::meters::Meter| {
        let it = view.resources.get(meter.place)?;
        Some(json!({
            "name": meter.full_name(),
            "used": (it.charged + it.held).as_units(),
            "limit": it.limit.map(Amount::as_units),
            "told": meter.quota(),
            "window_seconds": meter.limit.window.as_secs_f64(),
            "resets_at": meter.window_end().and_then(when::utc),
        }))
    };
    meters.iter().filter_map(limit).collect()
}
