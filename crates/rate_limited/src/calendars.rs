//! The calendars that resources follow, of which the core knows only the next ends of windows.
//!
//! They are computed from the wall clock at each boundary, and again when that clock was set: when it has moved by more
//! than a second against the one that never jumps.

#[cfg(feature = "calendar")]
pub(crate) use followed::{Calendars, Follows};
#[cfg(not(feature = "calendar"))]
pub(crate) use none::{Calendars, Follows};

#[cfg(feature = "calendar")]
mod followed {
    use rate_limited_calendar::Calendar;
    use rate_limited_core::{Limiter, ResourceId, Time};
    use std::fmt;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    /// The calendar that a resource follows, if it follows one.
    pub(crate) type Follows = Option<Calendar>;

    /// How far the wall clock may move against the other one before all is computed anew.
    const MOVED: i128 = 1_000_000_000;

    /// How often the wall clock is looked at while nothing else happens.
    const LOOK_EVERY: Duration = Duration::from_secs(60);

    /// Who follows which calendar.
    #[derive(Default)]
    pub(crate) struct Calendars {
        followed: Vec<(ResourceId, Calendar)>,
        /// Tells the time of day instead of the system.
        wall: Option<Arc<dyn Fn() -> SystemTime + Send + Sync>>,
        /// The time of day without that of the other clock, when it was looked at last.
        offset: i128,
        /// When the next window ends.
        due: Time,
    }

    impl fmt::Debug for Calendars {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_list().entries(&self.followed).finish()
        }
    }

    impl Calendars {
        pub(crate) fn set_wall(&mut self, wall: Arc<dyn Fn() -> SystemTime + Send + Sync>) {
            self.wall = Some(wall);
        }

        /// A resource follows a calendar from now on.
        pub(crate) fn follow(&mut self, resource: ResourceId, calendar: &Follows) {
            if let Some(calendar) = calendar {
                self.followed.push((resource, calendar.clone()));
                self.due = Time::default();
            }
        }

        /// What a resource follows.
        pub(crate) fn of(&self, resource: ResourceId) -> Follows {
            let mut followed = self.followed.iter();
            let found = followed.find(|(known, _)| *known == resource);
            found.map(|(_, calendar)| calendar.clone())
        }

        /// How long one may sleep without a look at the wall clock; `None`: for ever.
        pub(crate) fn look_again(&self) -> Option<Duration> {
            (!self.followed.is_empty()).then_some(LOOK_EVERY)
        }

        /// Tells the limiter which windows end next, where that is not what it knows.
        pub(crate) fn look(
            &mut self,
            limiter: &mut Limiter,
            clocks: impl FnOnce() -> (Time, SystemTime),
        ) {
            if self.followed.is_empty() {
                return;
            }
            let (now, wall) = clocks();
            let wall = self.wall.as_ref().map_or(wall, |wall| wall());
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
}

#[cfg(not(feature = "calendar"))]
mod none {
    use rate_limited_core::{Limiter, ResourceId, Time};
    use std::time::{Duration, SystemTime};

    /// Nothing follows a calendar.
    pub(crate) type Follows = ();

    #[derive(Debug, Default)]
    pub(crate) struct Calendars;

    impl Calendars {
        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn follow(&mut self, _: ResourceId, (): &Follows) {}

        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn of(&self, _: ResourceId) -> Follows {}

        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn look_again(&self) -> Option<Duration> {
            None
        }

        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn look(&mut self, _: &mut Limiter, _: impl FnOnce() -> (Time, SystemTime)) {}
    }
}
