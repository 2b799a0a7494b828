//! The attempts in flight.

use crate::event::{AttemptId, MemberId};
use crate::limiter::Reservation;
use crate::time::Time;

/// One attempt in flight.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The slot of its call.
    pub(crate) call: u32,
    pub(crate) reservation: Reservation,
    /// The member of the pool that it takes.
    pub(crate) member: Option<MemberId>,
    pub(crate) dispatched: Time,
    /// The how-manieth dispatch of the run it was, from 1.
    pub(crate) dispatch: u64,
    /// Whether it is the one that asks if an outage is over.
    pub(crate) probe: bool,
    /// Whether its request was reported to have left.
    pub(crate) sent: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    generation: u32,
    attempt: Option<Attempt>,
}

impl Attempts {
    pub(crate) fn in_flight(&self) -> u32 {
        (self.slots.len() - self.free.len()) as u32
    }

    pub(crate) fn add(&mut self, attempt: Attempt) -> AttemptId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.attempt = Some(attempt);
        AttemptId {
            index,
            generation: slot.generation,
        }
    }

    pub(crate) fn get(&self, id: AttemptId) -> Option<&Attempt> {
        let slot = self.slots.get(id.index as usize)?;
        let attempt = slot.attempt.as_ref();
        attempt.filter(|_| slot.generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.attempt
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    pub(crate) fn holds(&self, id: AttemptId) -> bool {
        self.get(id).is_some()
    }

    /// Takes an attempt out; one that has ended before is `None`.
    pub(crate) fn take(&mut self, id: AttemptId) -> Option<Attempt> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let attempt = slot.attempt.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(attempt)
    }

    /// The id of the attempt that lies in a slot now.
    pub(crate) fn id(&self, index: u32) -> AttemptId {
        AttemptId {
            index,
            generation: self.slots[index as usize].generation,
        }
    }

    /// All that are in flight, by slot.
    pub(crate) fn ids(&self) -> Vec<AttemptId> {
        let taken = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.attempt.is_some());
        taken
            .map(|(index, slot)| AttemptId {
                index: index as u32,
                generation: slot.generation,
            })
            .collect()
    }
}
