//! The numbers of a run for its report.

use rate_limited_core::{CallId, Progress, ResourceId, Time};
use rate_limited_report::{Ended, Fate as Told, Flights, Over, Report, Seen};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Fate, Trip};
use crate::account::Account;

/// The resources that are looked at: a report has room for fewer, while there may be a part for each of a million users.
const LIMITS_SEEN: usize = 64;

/// What is counted, and what is known of what is not over.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    counted: rate_limited_report::Numbers,
    flights: Flights,
    #[cfg(feature = "journal")]
    kept: Option<super::Kept>,
}

#[cfg(feature = "journal")]
impl Numbers {
    pub(super) fn goes_on(&mut self, mut kept: super::Kept) {
        self.counted = rate_limited_report::Numbers::going_on(kept.take_known());
        self.kept = Some(kept);
    }

    pub(super) async fn keep(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.save(self.counted.statistics()).await;
        }
    }
}

impl Numbers {
    pub(super) fn begins(&mut self, now: Time) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix = unix.unwrap_or_default().as_millis();
        let unix = u64::try_from(unix).unwrap_or(u64::MAX);
        self.counted.begins(now, unix);
    }

    pub(super) fn leaves(&mut self, trip: Trip, number: u32, now: Time) {
        let ids = (trip.id, trip.attempt);
        self.counted.leaves(&mut self.flights, ids, number, now);
    }

    pub(super) fn ended(&mut self, trip: Trip, fate: Fate<'_>, now: Time) {
        let fate = match fate {
            Fate::Came(class, code) => Told::Came(class, code),
            Fate::TimedOut => Told::TimedOut,
            Fate::CutOff => Told::CutOff,
        };
        let ids = (trip.id, trip.attempt);
        self.counted.ended(&mut self.flights, ids, fate, now);
    }

    pub(super) fn reopens(&mut self, failed: bool) {
        self.counted.reopens(failed);
    }

    pub(super) fn over(
        &mut self,
        (id, number): (CallId, u64),
        failed: Option<&'static str>,
        now: Time,
    ) {
        let over = Over {
            id,
            kind: "call",
            number,
            failed,
        };
        self.counted.over(&mut self.flights, over, now);
    }

    pub(super) fn look(&mut self, progress: &Progress, account: &Account, now: Time) {
        let moments = self.counted.due(now);
        if moments.is_empty() {
            return;
        }
        self.see(progress, account, &moments);
        #[cfg(feature = "journal")]
        if let Some(kept) = &mut self.kept {
            kept.save_if_due(self.counted.statistics(), now);
        }
    }

    pub(super) fn ends(&mut self, progress: &Progress, account: &Account, now: Time) {
        self.see(progress, account, &[now]);
    }

    /// Nothing happened since the first of these moments.
    fn see(&mut self, progress: &Progress, account: &Account, moments: &[Time]) {
        let mut limiter = account.open();
        let wall = account.clock().wall();
        let ids: Vec<_> = limiter.resources().take(LIMITS_SEEN).collect();
        // A part has the windows of the whole.
        let window = |id: &ResourceId| {
            let whole = limiter.view(*id, moments[0]).part_of.unwrap_or(*id);
            limiter.calendars().window_in_words(whole, wall)
        };
        let windows: Vec<_> = ids.iter().map(window).collect();
        for moment in moments {
            let views: Vec<_> = ids.iter().map(|id| limiter.view(*id, *moment)).collect();
            let seen = views.iter().zip(&windows).map(|(view, window)| Seen {
                view,
                window: window.as_deref(),
                per_dollar: None,
            });
            self.counted.look(progress, seen, *moment);
        }
    }

    pub(super) fn report(&self, title: &str, over: Option<Ended>) -> Report {
        match over {
            Some(over) => self.counted.report_beside(title, over),
            None => self.counted.report(title),
        }
    }
}
