//! The part of a driver that tells the ends of calendar windows.

use rate_limited_core::{Limiter, ResourceId, Time};
use std::time::Duration;

/// The windows of one length that follow each other without a gap; others nobody tells.
#[derive(Debug, Default)]
pub(super) struct Calendars(Vec<Regular>);

#[derive(Debug)]
struct Regular {
    resource: ResourceId,
    end: Time,
    window: Duration,
}

impl Calendars {
    /// Those of all resources.
    pub(super) fn of(limiter: &mut Limiter, now: Time) -> Calendars {
        let ids: Vec<_> = limiter.resources().collect();
        let regular = ids.into_iter().filter_map(|resource| {
            let quota = *limiter.view(resource, now).resource.quota();
            let (end, next) = quota.boundary()?;
            let window = quota.window();
            (next == end + window).then_some(Regular {
                resource,
                end,
                window,
            })
        });
        Calendars(regular.collect())
    }

    /// Tells what has not been told by now.
    pub(super) fn tell(&mut self, limiter: &mut Limiter, now: Time) {
        for regular in &mut self.0 {
            if regular.end > now {
                continue;
            }
            while regular.end <= now {
                regular.end = regular.end + regular.window;
            }
            let next = regular.end + regular.window;
            limiter.boundary(regular.resource, regular.end, next, now);
        }
    }
}
