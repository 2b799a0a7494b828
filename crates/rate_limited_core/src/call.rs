//! The calls that are not finished, each in a slot of 64 bytes.
//!
//! Slots lie in chunks, so that ten million calls are never copied to a larger place, and are used
//! again when their calls have ended. The generation of a slot tells the calls in it apart.

use crate::event::{CallId, Cost, MemberId};
use crate::small::Short;

/// Slots a chunk; a power of two.
const CHUNK: usize = 1_024;

/// One call; what the driver sends for it stays with the driver.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) costs: Short<Cost>,
    /// Its place among the waiting calls; see [`crate::queue`].
    pub(crate) rank: u64,
    generation: u32,
    /// Its attempt in flight.
    pub(crate) attempt: u32,
    /// Attempts dispatched so far.
    pub(crate) attempts: u32,
    /// Attempts that count against the retries of the call.
    pub(crate) failures: u16,
    pub(crate) state: State,
    /// The member of the pool that failed it last, if one did: the next attempt prefers another one.
    pub(crate) avoids: Option<MemberId>,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The slot is free.
    Free,
    /// In the queue.
    Waiting,
    /// An attempt of it is in flight.
    InFlight,
    /// Waits for the end of a back-off.
    BackingOff,
    /// Ended while it was in the queue: the slot is free as soon as the queue meets it.
    Gone,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    chunks: Vec<Box<[Call]>>,
    free: Vec<u32>,
    /// Slots of calls that have ended and whose driver does not know it yet: their indices must not
    /// name other calls before it does.
    ended: Vec<u32>,
    /// Slots that were used at least once.
    used: u32,
    alive: u32,
}

impl Calls {
    /// Calls that have not ended.
    pub(crate) fn alive(&self) -> u32 {
        self.alive
    }

    /// Adds a waiting call; `None` where all numbers are taken.
    pub(crate) fn add(&mut self, costs: &[Cost], rank: u64) -> Option<u32> {
        let index = self.slot()?;
        let call = self.get_mut(index);
        call.costs = Short::new(costs);
        call.rank = rank;
        (call.attempts, call.failures, call.state) = (0, 0, State::Waiting);
        call.avoids = None;
        self.alive += 1;
        Some(index)
    }

    pub(crate) fn get(&self, index: u32) -> &Call {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Call {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(crate) fn id(&self, index: u32) -> CallId {
        CallId {
            index,
            generation: self.get(index).generation,
        }
    }

    /// The slot of a call that has not ended.
    pub(crate) fn find(&self, id: CallId) -> Option<u32> {
        let known = id.index < self.used;
        (known && self.get(id.index).generation == id.generation).then_some(id.index)
    }

    /// Ends a call: its id is void from now on.
    pub(crate) fn end(&mut self, index: u32) {
        self.alive -= 1;
        let call = self.get_mut(index);
        call.generation = call.generation.wrapping_add(1);
        if call.state == State::Waiting {
            call.state = State::Gone;
        } else {
            self.ended.push(index);
        }
    }

    /// Every end so far has been told.
    pub(crate) fn release_ended(&mut self) {
        while let Some(index) = self.ended.pop() {
            self.release(index);
        }
    }

    /// Frees the slot of a call that is gone and no longer in the queue.
    pub(crate) fn release(&mut self, index: u32) {
        let call = self.get_mut(index);
        call.state = State::Free;
        call.costs = Short::new(&[]);
        self.free.push(index);
    }

    fn slot(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        let index = self.used;
        self.used = self.used.checked_add(1)?;
        if index as usize / CHUNK == self.chunks.len() {
            self.chunks.push((0..CHUNK).map(|_| Call::free()).collect());
        }
        Some(index)
    }
}

impl Call {
    fn free() -> Call {
        Call {
            costs: Short::new(&[]),
            rank: 0,
            generation: 0,
            attempt: 0,
            attempts: 0,
            failures: 0,
            state: State::Free,
            avoids: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_64_bytes() {
        assert_eq!(size_of::<Call>(), 64);
    }

    #[test]
    fn the_id_of_an_ended_call_is_void_although_its_slot_is_used_again() {
        let mut calls = Calls::default();
        let first = calls.add(&[], 0).expect("room");
        let id = calls.id(first);
        calls.get_mut(first).state = State::InFlight;
        calls.end(first);
        assert_eq!(calls.find(id), None);
        assert_ne!(calls.add(&[], 1), Some(first), "its end has not been told");
        calls.release_ended();
        let second = calls.add(&[], 1).expect("room");
        assert_eq!(first, second);
        assert_eq!(calls.find(id), None);
        assert_eq!(calls.find(calls.id(second)), Some(second));
    }
}
