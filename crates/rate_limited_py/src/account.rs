//! The quotas of the process: one limiter, and the machines that take from it.
//!
//! A quota belongs to an account, not to a run. Resources may be shared by any runners, in any
//! combination, so all of them lie in one limiter; runs that share nothing do not notice each other.

use crate::machine::Inner;
use rate_limited_calendar::{Calendar, Calendars};
use rate_limited_core::{Limiter, ResourceId, SchedulerId};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

#[derive(Default)]
struct Machines(Mutex<Vec<(SchedulerId, Weak<Inner>)>>);

static MACHINES: Machines = Machines(Mutex::new(Vec::new()));

/// The limiter of the process, and the calendars that its resources follow.
pub(crate) struct Books {
    limiter: Limiter,
    calendars: Calendars,
}

/// The open books of the process; they know which windows of calendars end next.
pub(crate) struct Guard(MutexGuard<'static, Books>);

/// The limiter of the process. Whoever holds a machine's state may lock it, not the other way round.
pub(crate) fn limiter() -> Guard {
    static BOOKS: OnceLock<Mutex<Books>> = OnceLock::new();
    let empty = || Books {
        limiter: Limiter::new(crate::clock::now()),
        calendars: Calendars::default(),
    };
    let mut guard = Guard(lock(BOOKS.get_or_init(|| Mutex::new(empty()))));
    guard.look();
    guard
}

impl Guard {
    /// A resource follows a calendar from now on.
    pub(crate) fn follow(&mut self, resource: ResourceId, calendar: Calendar) {
        self.0.calendars.follow(resource, calendar);
        self.look();
    }

    /// When the present window ends of a resource that follows a calendar.
    pub(crate) fn window_end(&mut self, resource: ResourceId) -> Option<SystemTime> {
        let window = self.calendar(resource)?.window_at(SystemTime::now())?;
        Some(window.end)
    }

    /// The window of a resource that follows a calendar, in words.
    pub(crate) fn window_in_words(&mut self, resource: ResourceId) -> Option<String> {
        let calendar = self.calendar(resource)?;
        Some(calendar.window_in_words(SystemTime::now()))
    }

    /// What a resource follows, or the one that it is a part of.
    fn calendar(&mut self, resource: ResourceId) -> Option<&Calendar> {
        self.look_again()?;
        let view = self.0.limiter.view(resource, crate::clock::now());
        self.0.calendars.of(view.part_of.unwrap_or(resource))
    }

    /// How long one may sleep without a look at the calendar; `None`: for ever.
    pub(crate) fn look_again(&self) -> Option<Duration> {
        self.0.calendars.look_again()
    }

    fn look(&mut self) {
        let Books { limiter, calendars } = &mut *self.0;
        if calendars.look_again().is_some() {
            calendars.look(limiter, crate::clock::now(), SystemTime::now());
        }
    }
}

impl Deref for Guard {
    type Target = Limiter;

    fn deref(&self) -> &Limiter {
        &self.0.limiter
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut Limiter {
        &mut self.0.limiter
    }
}

pub(crate) fn register(id: SchedulerId, machine: Weak<Inner>) {
    lock(&MACHINES.0).push((id, machine));
}

pub(crate) fn forget(id: SchedulerId) {
    lock(&MACHINES.0).retain(|(known, _)| *known != id);
}

/// Wakes machines that wait for what came back, but for one. Call it without holding any state.
pub(crate) fn wake(who: &[SchedulerId], except: Option<SchedulerId>) {
    if who.iter().all(|id| Some(*id) == except) {
        return;
    }
    let machines = lock(&MACHINES.0);
    let woken = machines
        .iter()
        .filter(|(id, _)| who.contains(id) && Some(*id) != except);
    let woken: Vec<_> = woken.filter_map(|(_, machine)| machine.upgrade()).collect();
    drop(machines);
    for machine in woken {
        machine.nudge();
    }
}

/// A poisoned lock is taken all the same: the core leaves nothing half done when it panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
