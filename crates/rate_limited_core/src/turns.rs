//! Fairness among the schedulers of one limiter.
//!
//! What comes back goes round: a scheduler that was admitted more recently lets the others look
//! first. It does not wait for them longer than [`PATIENCE`], so that one whose driver sleeps or is
//! gone stops nobody. Schedulers that take from no common resource do not notice each other.

use crate::event::SchedulerId;
use crate::time::Time;

/// How long a scheduler waits for another to take its turn, in nanoseconds.
pub(crate) const PATIENCE: u64 = 1_000_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    seats: Vec<Option<Seat>>,
    admissions: u64,
    /// The resources that each scheduler has taken from, in order.
    uses: Vec<Vec<u32>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    state: State,
    /// The number of its latest admission; the lowest has the first right.
    last_admission: u64,
    yields_until: Option<Time>,
    /// Whether its driver is to be told that it should look again.
    wake: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It needs nothing, or it is at work.
    #[default]
    Busy,
    /// It found itself blocked, and asks again at `until` or when something comes back.
    Waiting { until: Option<Time> },
    /// Something came back since it last looked.
    Owed,
}

impl Turns {
    pub(crate) fn join(&mut self) -> SchedulerId {
        let free = self.seats.iter().position(Option::is_none);
        let index = free.unwrap_or(self.seats.len());
        let seat = Some(Seat {
            last_admission: self.admissions,
            ..Seat::default()
        });
        if free.is_some() {
            self.seats[index] = seat;
            self.uses[index].clear();
        } else {
            self.seats.push(seat);
            self.uses.push(Vec::new());
        }
        SchedulerId(u32::try_from(index).expect("fewer schedulers than memory"))
    }

    pub(crate) fn leave(&mut self, who: SchedulerId) {
        self.seats[who.0 as usize] = None;
        self.all_released();
    }

    /// `who` takes from a resource, now or later.
    pub(crate) fn uses(&mut self, who: SchedulerId, resource: u32) {
        let uses = &mut self.uses[who.0 as usize];
        if let Err(place) = uses.binary_search(&resource) {
            uses.insert(place, resource);
        }
    }

    /// Something came back, of any resource: everyone who waits may look.
    pub(crate) fn all_released(&mut self) {
        for seat in self.seats.iter_mut().flatten() {
            seat.look();
        }
    }

    /// Something of a resource came back: everyone who waits and takes from it may look.
    pub(crate) fn released(&mut self, resource: u32) {
        for (seat, uses) in self.seats.iter_mut().zip(&self.uses) {
            if let Some(seat) = seat
                && uses.binary_search(&resource).is_ok()
            {
                seat.look();
            }
        }
    }

    /// Until when `who` must let another look first; `None`: it is its turn.
    pub(crate) fn yields(&mut self, who: SchedulerId, now: Time) -> Option<Time> {
        if self.seats.len() < 2 {
            return None;
        }
        let mine = self.seats[who.0 as usize].expect("it joined");
        let waits_before =
            |seat: &Seat| seat.is_owed(now) && seat.last_admission < mine.last_admission;
        let ours = &self.uses[who.0 as usize];
        let mut others = self.seats.iter().zip(&self.uses);
        let first = others
            .any(|(seat, theirs)| seat.as_ref().is_some_and(waits_before) && common(ours, theirs));
        let until = mine.yields_until.unwrap_or(now.plus(PATIENCE));
        if first && until > now {
            self.seat(who).yields_until = Some(until);
            return Some(until);
        }
        if first {
            self.forget_who_slept(mine.last_admission, now);
        }
        None
    }

    pub(crate) fn admitted(&mut self, who: SchedulerId) {
        self.admissions += 1;
        let last_admission = self.admissions;
        let wake = self.seat(who).wake;
        *self.seat(who) = Seat {
            last_admission,
            wake,
            ..Seat::default()
        };
        self.wake_who_yields();
    }

    /// `who` found itself blocked.
    pub(crate) fn waits(&mut self, who: SchedulerId, until: Option<Time>) {
        self.seat(who).state = State::Waiting { until };
        // One that yields waits for the others: waking them, they would wake it, for ever.
        if self.seat(who).yields_until.is_none() {
            self.wake_who_yields();
        }
    }

    /// `who` needs nothing.
    pub(crate) fn idles(&mut self, who: SchedulerId) {
        let seat = self.seat(who);
        (seat.state, seat.yields_until) = (State::Busy, None);
        self.wake_who_yields();
    }

    pub(crate) fn take_wakes(&mut self) -> Vec<SchedulerId> {
        let seats = self.seats.iter_mut().enumerate();
        let woken = seats.filter_map(|(index, seat)| {
            let wake = seat
                .as_mut()
                .is_some_and(|seat| core::mem::take(&mut seat.wake));
            wake.then_some(SchedulerId(index as u32))
        });
        woken.collect()
    }

    pub(crate) fn has_wakes(&self) -> bool {
        self.seats.iter().flatten().any(|seat| seat.wake)
    }

    fn seat(&mut self, who: SchedulerId) -> &mut Seat {
        self.seats[who.0 as usize]
            .as_mut()
            .expect("it joined and has not left")
    }

    fn wake_who_yields(&mut self) {
        if self.seats.len() < 2 {
            return;
        }
        for seat in self.seats.iter_mut().flatten() {
            seat.wake |= seat.yields_until.is_some();
        }
    }

    /// Who could have looked and has not is waited for no longer. Who waits for something that has not come
    /// back yet has missed nothing: it must hear of that when it comes.
    fn forget_who_slept(&mut self, last_admission: u64, now: Time) {
        for seat in self.seats.iter_mut().flatten() {
            if seat.last_admission < last_admission && seat.is_owed(now) {
                seat.state = State::Busy;
            }
        }
    }
}

impl Seat {
    /// Whether it could look now and has not.
    fn is_owed(&self, now: Time) -> bool {
        match self.state {
            State::Busy => false,
            State::Waiting { until } => until.is_some_and(|until| until <= now),
            State::Owed => true,
        }
    }

    /// Whoever waits may look again.
    fn look(&mut self) {
        if matches!(self.state, State::Waiting { .. }) {
            (self.state, self.wake) = (State::Owed, true);
        }
    }
}

/// Whether two ordered lists have an item in common.
fn common(ours: &[u32], theirs: &[u32]) -> bool {
    let (few, many) = if ours.len() < theirs.len() {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    few.iter()
        .any(|resource| many.binary_search(resource).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_what_is_not_back_is_woken_although_another_has_slept() {
        let now = Time::PROCESS_START;
        let mut turns = Turns::default();
        let [patient, sleeper, busy] = [turns.join(), turns.join(), turns.join()];
        for who in [patient, sleeper, busy] {
            turns.uses(who, 0);
        }
        turns.admitted(busy);
        turns.waits(patient, None);
        turns.waits(sleeper, Some(now));
        let until = turns.yields(busy, now).expect("the sleeper looks first");
        assert_eq!(turns.yields(busy, until), None, "it has not come");
        turns.take_wakes();
        turns.released(0);
        assert_eq!(turns.take_wakes(), [patient]);
    }
}
