//! What was settled, for those who keep books of their own.

use crate::amount::Amount;
use crate::event::ResourceId;
use crate::time::Time;

/// What one attempt took of a resource; see [`Scheduler::take_entries`](crate::Scheduler::take_entries).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The resource.
    pub resource: ResourceId,
    /// The moment at which it counts.
    pub at: Time,
    /// How much.
    pub amount: Amount,
}

/// Entries since they were taken last, if they are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries(Option<Vec<Entry>>);

impl Entries {
    pub(crate) fn keep(&mut self) {
        self.0.get_or_insert_default();
    }

    pub(crate) fn add(&mut self, resource: ResourceId, at: Time, micros: i64) {
        if let (Some(entries), true) = (&mut self.0, micros != 0) {
            let amount = Amount::from_micros(micros);
            entries.push(Entry {
                resource,
                at,
                amount,
            });
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Entry> {
        self.0.as_mut().map(core::mem::take).unwrap_or_default()
    }
}
