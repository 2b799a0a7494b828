//! Who follows which calendar.

use std::time::{Duration, SystemTime};

use rate_limited_core::{Limiter, ResourceId, Time};

use crate::calendar::Calendar;

/// How far the wall clock may move against the other one before all is computed anew, in nanoseconds.
const MOVED: i128 = 1_000_000_000;

/// How often the wall clock is looked at while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The resources of a limiter that follow calendars: a driver's part of their windows, of which the core knows only the
/// next ends.
///
/// They are computed from the wall clock at each end, and again when that clock was set: when it has moved by more than
/// a second against the one that never jumps.
///
/// ```
/// use rate_limited_calendar::{Calendar, Calendars};
/// use rate_limited_core::{Amount, Limiter, Resource, Time};
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let (now, wall) = (Time::PROCESS_START, UNIX_EPOCH + Duration::from_secs(23 * 3_600));
/// let calendar = Calendar::day("UTC")?;
/// let mut limiter = Limiter::new(now);
/// let requests = limiter.add(Resource::new("requests", calendar.quota(Amount::units(1_000))))?;
/// let mut calendars = Calendars::default();
/// calendars.follow(requests, calendar);
/// calendars.look(&mut limiter, now, wall);
/// let midnight = now + Duration::from_secs(3_600);
/// let boundary = limiter.view(requests, now).resource.quota().boundary();
/// assert_eq!(boundary, Some((midnight, midnight + Duration::from_secs(86_400))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Calendars {
    followed: Vec<(ResourceId, Calendar)>,
    /// The time of day without that of the other clock, in nanoseconds, when it was looked at last.
    offset: i128,
    /// When the next window ends.
    due: Time,
}

impl Calendars {
    /// A resource follows a calendar from the next look on. Its quota is to be [one of the
    /// calendar](Calendar::quota).
    pub fn follow(&mut self, resource: ResourceId, calendar: Calendar) {
        self.followed.push((resource, calendar));
        self.due = Time::default();
    }

    /// What a resource follows.
    pub fn of(&self, resource: ResourceId) -> Option<&Calendar> {
        let mut followed = self.followed.iter();
        let found = followed.find(|(known, _)| *known == resource);
        found.map(|(_, calendar)| calendar)
    }

    /// How long a driver may sleep before the next look; `None`: for ever, since nothing follows a calendar.
    pub fn look_again(&self) -> Option<Duration> {
        (!self.followed.is_empty()).then_some(LOOK_EVERY)
    }

    /// Tells the limiter which windows end next, where that is not what it knows: to be done whenever the limiter is
    /// used. `now` and `wall` are one moment on two clocks.
    pub fn look(&mut self, limiter: &mut Limiter, now: Time, wall: SystemTime) {
        if self.followed.is_empty() {
            return;
        }
        let offset = nanos(wall) - i128::from(now.as_nanos());
        if now < self.due && (offset - self.offset).abs() <= MOVED {
            return;
        }
        (self.offset, self.due) = (offset, Time::MAX);
        for (resource, calendar) in &self.followed {
            let Some(window) = calendar.window_at(wall) else {
                continue;
            };
            let time = |moment| time_at(nanos(moment) - offset);
            let (start, end) = (time(window.start), time(window.end));
            // The first telling says when the present window began.
            limiter.boundary(*resource, start, end, now);
            limiter.boundary(*resource, end, time(window.next), now);
            self.due = self.due.min(end);
        }
    }
}

fn nanos(wall: SystemTime) -> i128 {
    let signed = |span: Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX / 4);
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => signed(after),
        Err(before) => -signed(before.duration()),
    }
}

fn time_at(nanos: i128) -> Time {
    Time::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}
