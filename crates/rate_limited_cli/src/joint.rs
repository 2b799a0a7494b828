//! How long the rest of a run takes, from the limits.

use std::time::Duration;

use rate_limited::View;

use crate::meters::Meters;
use crate::source::Totals;
use crate::tally::Counts;
use crate::work::{Work, seconds};

/// The time that is left: the longest that any limit, or the bound on calls in flight, makes of it.
/// `None` where nothing limits the run in a way that is known.
pub(crate) fn time_left(
    view: &View,
    counts: &Counts,
    totals: Totals,
    meters: &Meters,
    latency: Option<Duration>,
) -> Option<Duration> {
    let waiting = waiting(view, counts, totals);
    let latency = latency.map(|latency| latency.as_secs_f64());
    let joint = meters.joint().into_iter();
    let by_limits = joint.map(|limit| {
        let taken = limit.places.iter().filter_map(|it| view.resources.get(*it));
        let taken: f64 = taken.map(|it| (it.charged + it.held).as_units()).sum();
        let free = limit.quota - taken;
        ((waiting.of(limit.unit) - free) / limit.rate).max(0.0)
    });
    let slots = f64::from(view.progress.max_concurrent.max(1));
    let by_slots = latency.map(|latency| waiting.requests / slots * latency);
    let longest = by_limits.chain(by_slots).max_by(f64::total_cmp)?;
    Some(seconds(longest + latency.unwrap_or(0.0)))
}

/// What has not been sent. Answers so far tell by how much the estimates are too high.
fn waiting(view: &View, counts: &Counts, totals: Totals) -> Work {
    let left = totals.requests.saturating_sub(counts.calls_over());
    let tokens_left = totals.tokens.saturating_sub(counts.tokens_over);
    let left = Work::new(left, tokens_left);
    let in_flight = Work::new(view.progress.in_flight, 0).requests;
    let not_sent = (left.requests - in_flight).max(0.0);
    let share = if left.requests > 0.0 {
        not_sent / left.requests
    } else {
        0.0
    };
    Work {
        requests: not_sent,
        tokens: left.tokens * share * counts.usage_share(),
    }
}
