//! The limits of a run as they stand, one by one: for all that is told of them.

use std::time::SystemTime;

use rate_limited::{Amount, ResourceView, View};

use crate::calling::meters::Meters;
use crate::values::duration;
use crate::values::limit::Limit;

/// One limit, or one model's part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    pub(crate) view: &'a ResourceView,
    /// How much it was told to be; `None`: it is found out.
    pub(crate) told: Option<f64>,
    /// The limit that was told.
    pub(crate) limit: Option<&'a Limit>,
}

impl<'a> Standing<'a> {
    fn new(place: usize, view: &'a ResourceView, meters: &'a Meters) -> Standing<'a> {
        let told = Some(&view.resource).filter(|it| !it.is_untold());
        let told = told.and_then(|it| it.quota().limit());
        Standing {
            view,
            told: told.map(Amount::as_units),
            limit: meters.limit_of(place, view.part_of, view.resource.name()),
        }
    }

    /// Its window, for people.
    pub(crate) fn window_in_words(&self) -> String {
        let calendar = self.limit.and_then(|limit| limit.calendar.as_ref());
        calendar.map_or_else(
            || duration::written(self.view.window),
            |calendar| calendar.window_in_words(SystemTime::now()),
        )
    }

    /// The end of its present window of the calendar, if it follows one.
    pub(crate) fn window_end(&self) -> Option<SystemTime> {
        self.limit?.window_end()
    }

    /// Its name; that of a part has the model behind it: `requests[gpt-4o]`.
    pub(crate) fn name(&self) -> &'a str {
        self.view.resource.name()
    }

    /// What is charged or reserved of it.
    pub(crate) fn used(&self) -> f64 {
        (self.view.charged + self.view.held).as_units()
    }

    /// The limit in force, as far as one is known.
    pub(crate) fn in_force(&self) -> Option<f64> {
        self.view.limit.map(Amount::as_units).or(self.told)
    }

    /// How full it is; 1 is all of it.
    pub(crate) fn share(&self) -> f64 {
        let limit = self.in_force().filter(|limit| *limit > 0.0);
        limit.map_or(0.0, |limit| self.used() / limit)
    }

    pub(crate) fn is_part(&self) -> bool {
        self.view.part_of.is_some()
    }
}

/// The limits but for that on costs, then the parts of them. One of which all that was used was used of its parts is left
/// out.
pub(crate) fn all<'a>(view: &'a View, meters: &'a Meters) -> Vec<Standing<'a>> {
    let resources = view.resources.iter().enumerate();
    let whole = resources.clone().take(meters.bill_place());
    let parts = || resources.clone().filter(|(_, it)| it.part_of.is_some());
    let mut has_parts = vec![false; meters.bill_place()];
    for place in parts().filter_map(|(_, it)| it.part_of) {
        if let Some(has_parts) = has_parts.get_mut(place.index()) {
            *has_parts = true;
        }
    }
    let whole = whole.filter(|(place, it)| {
        let is_used = it.charged + it.held > Amount::ZERO;
        is_used || !has_parts[*place]
    });
    let all = whole.chain(parts());
    all.map(|(place, it)| Standing::new(place, it, meters))
        .collect()
}

/// The limits as far as there is room for so many parts: the fullest of them, and how many are left out.
pub(crate) fn fullest<'a>(
    view: &'a View,
    meters: &'a Meters,
    parts_max: usize,
) -> (Vec<Standing<'a>>, usize) {
    let all = all(view, meters);
    let parts = all.iter().filter(|it| it.is_part());
    let mut shares: Vec<f64> = parts.map(Standing::share).collect();
    if shares.len() <= parts_max {
        return (all, 0);
    }
    shares.sort_by(|a, b| b.total_cmp(a));
    let least = shares[parts_max - 1];
    let mut room = parts_max;
    let left_out = shares.len() - parts_max;
    let mut shown = all;
    shown.retain(|it| {
        let stays = !it.is_part() || (it.share() >= least && room > 0);
        room -= usize::from(stays && it.is_part());
        stays
    });
    (shown, left_out)
}
