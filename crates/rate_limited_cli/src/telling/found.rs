//! Limits that a run has found out.

use rate_limited::{Amount, View};

use crate::calling::meters::Meters;
use crate::telling::standing::{self, Standing};
use crate::telling::status::whole;
use crate::values::duration::Human;
use crate::values::text::grouped;

/// The most limits that are told.
const SHOWN: usize = 8;

/// Which limits held, where they were not told, or were lower than told, or spread over their windows; `None` where all were told right.
pub(crate) fn told(view: &View, meters: &Meters) -> Option<String> {
    let found = |it: Standing<'_>| {
        let limit = it.view.limit?.as_units();
        let burst = it.view.burst.map(Amount::as_units);
        if burst.is_none() && it.told.is_some_and(|told| limit >= told) {
            return None;
        }
        let (name, window) = (it.name(), Human(it.view.window));
        let told = it.told.map(|told| format!(" (told: {})", whole(told)));
        let told = told.unwrap_or_default();
        let burst = burst.map(|burst| format!(", {} at once", whole(burst)));
        let burst = burst.unwrap_or_default();
        Some(format!("{name} {} in {window}{burst}{told}", whole(limit)))
    };
    let mut found: Vec<_> = standing::all(view, meters)
        .into_iter()
        .filter_map(found)
        .collect();
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    if more > 0 {
        found.push(format!("{} more", grouped(more as u64)));
    }
    (!found.is_empty()).then(|| format!("limits found out: {}", found.join(", ")))
}
