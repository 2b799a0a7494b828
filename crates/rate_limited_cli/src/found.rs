//! Limits that a run has found out.

use rate_limited::View;

use crate::duration::Human;
use crate::meters::Meters;
use crate::status::whole;

/// Which limits held, where they were not told, or were lower than told; `None` where all were told right.
pub(crate) fn told(view: &View, meters: &Meters) -> Option<String> {
    let found = meters
        .slots()
        .into_iter()
        .zip(&view.resources)
        .filter_map(|(slot, resource)| {
            let told = slot.quota();
            let limit = resource.limit?.as_units();
            if told.is_some_and(|told| limit >= told) {
                return None;
            }
            let window = Human(resource.window);
            let told = told.map(|told| format!(" (told: {})", whole(told)));
            Some(format!(
                "{} {} in {window}{}",
                slot.full_name(),
                whole(limit),
                told.unwrap_or_default()
            ))
        });
    let found: Vec<_> = found.collect();
    (!found.is_empty()).then(|| format!("limits found out: {}", found.join(", ")))
}
