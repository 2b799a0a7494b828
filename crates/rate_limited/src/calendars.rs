//! The calendars that resources follow, and where the time of day is read; nothing without the feature.

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

    /// Who follows which calendar, and where the time of day is read.
    #[derive(Default)]
    pub(crate) struct Calendars {
        calendars: rate_limited_calendar::Calendars,
        /// Tells the time of day instead of the system.
        wall: Option<Arc<dyn Fn() -> SystemTime + Send + Sync>>,
    }

    impl fmt::Debug for Calendars {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.calendars.fmt(f)
        }
    }

    impl Calendars {
        pub(crate) fn set_wall(&mut self, wall: Arc<dyn Fn() -> SystemTime + Send + Sync>) {
            self.wall = Some(wall);
        }

        /// A resource follows a calendar from now on.
        pub(crate) fn follow(&mut self, resource: ResourceId, calendar: &Follows) {
            if let Some(calendar) = calendar {
                self.calendars.follow(resource, calendar.clone());
            }
        }

        /// What a resource follows.
        pub(crate) fn of(&self, resource: ResourceId) -> Follows {
            self.calendars.of(resource).cloned()
        }

        /// The window of a resource that follows a calendar, in words.
        #[cfg(feature = "report")]
        pub(crate) fn window_in_words(
            &self,
            resource: ResourceId,
            wall: SystemTime,
        ) -> Option<String> {
            let calendar = self.calendars.of(resource)?;
            Some(calendar.window_in_words(self.time_of_day(wall)))
        }

        /// How long one may sleep without a look at the wall clock; `None`: for ever.
        pub(crate) fn look_again(&self) -> Option<Duration> {
            self.calendars.look_again()
        }

        /// Tells the limiter which windows end next, where that is not what it knows.
        pub(crate) fn look(
            &mut self,
            limiter: &mut Limiter,
            clocks: impl FnOnce() -> (Time, SystemTime),
        ) {
            if self.look_again().is_none() {
                return;
            }
            let (now, wall) = clocks();
            let wall = self.time_of_day(wall);
            self.calendars.look(limiter, now, wall);
        }

        /// The time of day, where it is this by the clock that nobody replaced.
        fn time_of_day(&self, wall: SystemTime) -> SystemTime {
            self.wall.as_ref().map_or(wall, |wall| wall())
        }
    }
}

#[cfg(not(feature = "calendar"))]
mod none {
    use rate_limited_core::{Limiter, ResourceId, Time};
    use std::time::{Duration, SystemTime};

    /// Nothing follows a calendar.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Follows {}

    #[derive(Debug, Default)]
    pub(crate) struct Calendars {}

    impl Calendars {
        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn follow(&mut self, _: ResourceId, _: &Follows) {}

        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn of(&self, _: ResourceId) -> Follows {
            Follows {}
        }

        #[cfg(feature = "report")]
        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn window_in_words(&self, _: ResourceId, _: SystemTime) -> Option<String> {
            None
        }

        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn look_again(&self) -> Option<Duration> {
            None
        }

        #[expect(clippy::unused_self, reason = "as where there are calendars")]
        pub(crate) fn look(&mut self, _: &mut Limiter, _: impl FnOnce() -> (Time, SystemTime)) {}
    }
}
