//! The shared part: the quotas of one account, and all who take from them.
//!
//! Runners and those who [ask](desk) for quota one by one take from the same books under one lock. Whoever
//! closes the books tells those for whom something came back; nobody waits for the lock longer than a few
//! decisions of the core take, and no foreign code runs under it.

mod desk;
mod ticket;

use crate::calendars::{Calendars, Follows};
use crate::clock::Clock;
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};
use desk::Desk;
pub(crate) use desk::{Answer, Watch};
use rate_limited_core::{
    Amount, AtOnce, CallId, Cost, Input, Limiter, ResourceId, ScheduleError, SchedulerId, Time,
};
use std::ops::{Deref, DerefMut};
use std::task::{Poll, Waker};
pub(crate) use ticket::Ticket;

/// The quotas of one account.
#[derive(Debug)]
pub(crate) struct Account {
    clock: Clock,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    limiter: Limiter,
    /// Made when somebody asks for the first time: a runner that is alone has nobody to make room for.
    desk: Option<Desk>,
    /// How to tell each runner that it should look again.
    bells: Vec<(SchedulerId, Waker)>,
    /// What who asks takes of each resource that he does not name.
    defaults: Vec<Cost>,
    calendars: Calendars,
}

impl Account {
    pub(crate) fn new(clock: Clock) -> Arc<Account> {
        let books = Books {
            limiter: Limiter::new(clock.now()),
            desk: None,
            bells: Vec::new(),
            defaults: Vec::new(),
            calendars: Calendars::default(),
        };
        Arc::new(Account {
            clock,
            books: Mutex::new(books),
        })
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// The open books.
    pub(crate) fn open(&self) -> Guard<'_> {
        // A poisoned lock is taken all the same: the core leaves nothing half done when it panics.
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.look(self.clock);
        Guard {
            clock: self.clock,
            books: Some(books),
            by: None,
            woken: Vec::new(),
        }
    }

    /// The open books, for a runner that looks again by itself afterwards.
    pub(crate) fn open_by(&self, who: SchedulerId) -> Guard<'_> {
        let mut guard = self.open();
        guard.by = Some(who);
        guard
    }
}

/// The open books; closed when it is dropped, which tells those for whom something came back.
pub(crate) struct Guard<'a> {
    clock: Clock,
    books: Option<MutexGuard<'a, Books>>,
    by: Option<SchedulerId>,
    /// Who is told once the books are closed.
    woken: Vec<Waker>,
}

impl Guard<'_> {
    /// A runner that is told by this waker when it should look again.
    pub(crate) fn hang_bell(&mut self, who: SchedulerId, bell: Waker) {
        self.books_mut().bells.push((who, bell));
    }

    pub(crate) fn take_bell(&mut self, who: SchedulerId) {
        self.books_mut().bells.retain(|(other, _)| *other != who);
    }

    /// What everyone who asks takes of a resource, unless he says otherwise.
    pub(crate) fn set_default(&mut self, resource: ResourceId, amount: Amount) {
        self.books_mut().defaults.push(Cost::new(resource, amount));
    }

    /// A resource follows a calendar from now on.
    pub(crate) fn follow(&mut self, resource: ResourceId, calendar: &Follows) {
        let clock = self.clock;
        let books = self.books_mut();
        books.calendars.follow(resource, calendar);
        books.look(clock);
    }

    /// The calendars that resources follow.
    pub(crate) fn calendars(&self) -> &Calendars {
        &self.books().calendars
    }

    #[cfg(feature = "calendar")]
    pub(crate) fn calendars_mut(&mut self) -> &mut Calendars {
        &mut self.books_mut().calendars
    }

    pub(crate) fn defaults(&self) -> &[Cost] {
        &self.books().defaults
    }

    /// Joins the line of those who wait for quota.
    pub(crate) fn ask(&mut self, costs: &[Cost]) -> Result<CallId, ScheduleError> {
        self.at_desk(|desk, limiter, now, _| desk.ask(limiter, costs, now))
    }

    /// What a question came to; who is to look again when that changes.
    pub(crate) fn answer(&mut self, call: CallId, waker: &Waker) -> Poll<Answer> {
        let desk = &mut self.books_mut().desk;
        desk.as_mut()
            .map_or(Poll::Pending, |desk| desk.answer(call, waker))
    }

    /// Leaves the line; what was granted meanwhile is given back.
    pub(crate) fn give_up(&mut self, call: CallId) {
        self.at_desk(|desk, limiter, now, _| desk.give_up(limiter, call, now));
    }

    /// Takes quota now or not at all; those who wait go first.
    pub(crate) fn take_at_once(&mut self, costs: &[Cost]) -> Result<AtOnce, ScheduleError> {
        self.at_desk(|desk, limiter, now, woken| {
            desk.pump(limiter, now, woken);
            desk.take_at_once(limiter, costs, now)
        })
    }

    /// Tells what became of something that was granted.
    pub(crate) fn report<const N: usize>(&mut self, inputs: [Input; N]) {
        self.at_desk(|desk, limiter, now, _| {
            for input in inputs {
                desk.report(limiter, input, now);
            }
        });
    }

    /// Whether somebody waits and nobody looks at the clock for it: whoever is told so has to.
    pub(crate) fn wants_alarm(&mut self) -> bool {
        let desk = &mut self.books_mut().desk;
        desk.as_mut().is_some_and(Desk::wants_alarm)
    }

    /// The alarm looks at the clock.
    pub(crate) fn watch(&mut self, waker: &Waker) -> Watch {
        self.at_desk(|desk, limiter, now, woken| {
            desk.pump(limiter, now, woken);
            desk.watch(waker)
        })
    }

    /// The alarm is gone, though somebody may still wait: one of them has to set another one.
    pub(crate) fn alarm_is_gone(&mut self) {
        self.at_desk(|desk, _, _, woken| desk.alarm_is_gone(woken));
    }

    /// Does something at the desk, and grants what can be granted after it.
    fn at_desk<T>(
        &mut self,
        act: impl FnOnce(&mut Desk, &mut Limiter, Time, &mut Vec<Waker>) -> T,
    ) -> T {
        let now = self.clock.now();
        let mut woken = std::mem::take(&mut self.woken);
        let Books { limiter, desk, .. } = self.books_mut();
        let desk = desk.get_or_insert_with(|| Desk::new(limiter, now));
        let result = act(desk, limiter, now, &mut woken);
        desk.pump(limiter, now, &mut woken);
        self.woken = woken;
        result
    }

    fn books(&self) -> &Books {
        self.books.as_deref().expect("the books are open")
    }

    fn books_mut(&mut self) -> &mut Books {
        self.books.as_deref_mut().expect("the books are open")
    }
}

impl Books {
    /// Sees to it that the limiter knows which windows of the calendar end next.
    fn look(&mut self, clock: Clock) {
        let clocks = || (clock.now(), clock.wall());
        self.calendars.look(&mut self.limiter, clocks);
    }

    /// Tells whoever should look again, until nobody is owed anything.
    fn close(&mut self, mut by: Option<SchedulerId>, clock: Clock, woken: &mut Vec<Waker>) {
        loop {
            let wakes = self.limiter.take_wakes();
            let mut desk_looks = false;
            for who in wakes {
                desk_looks |= self.desk.as_ref().is_some_and(|desk| desk.id() == who);
                let bell = self.bells.iter().find(|(other, _)| *other == who);
                woken.extend(
                    bell.filter(|_| by != Some(who))
                        .map(|(_, bell)| bell.clone()),
                );
            }
            let Some(desk) = self.desk.as_mut().filter(|_| desk_looks) else {
                return;
            };
            desk.pump(&mut self.limiter, clock.now(), woken);
            // What the desk gives back comes after the look that this runner has had.
            by = None;
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let Some(mut books) = self.books.take() else {
            return;
        };
        if self.woken.is_empty() && !books.limiter.has_wakes() {
            return;
        }
        books.close(self.by, self.clock, &mut self.woken);
        // A waker may run anything, and that may open the books.
        drop(books);
        for waker in self.woken.drain(..) {
            waker.wake();
        }
    }
}

impl Deref for Guard<'_> {
    type Target = Limiter;

    fn deref(&self) -> &Limiter {
        &self.books().limiter
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Limiter {
        &mut self.books_mut().limiter
    }
}
