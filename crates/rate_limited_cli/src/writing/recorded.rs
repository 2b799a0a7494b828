//! Lines that wait for their turn in the journal: it has their results already.

use std::sync::Arc;

use rate_limited_store::{Journal, JournalError, Position};

use crate::reading::offsets::Offsets;
use crate::writing::record::{Failure, Record, code, whole_line};
use crate::writing::row::{Added, Row};

/// The bits that say by how much the number of a line is above its place in the output: lines that are
/// blank or left out make the difference.
const ABOVE_BITS: u32 = 24;

/// Where a result is, and which line of the input it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The line of the input, from 1.
    pub(crate) line: u64,
    pub(crate) position: Position,
}

/// Places of results, 8 bytes each, by the index of their lines in the output.
#[derive(Debug)]
pub(crate) struct Recorded {
    journal: Arc<Journal>,
    places: Offsets,
}

impl Recorded {
    pub(crate) fn new(journal: Arc<Journal>) -> Recorded {
        Recorded {
            journal,
            places: Offsets::default(),
        }
    }

    /// Whether what was recorded can be read back from the journal.
    pub(crate) fn is_sound(&self) -> bool {
        self.journal.error().is_none()
    }

    /// Notes where the line of an index is. Whether there are enough bits to say it.
    pub(crate) fn put(&mut self, index: u64, place: Place) -> bool {
        let Some(packed) = packed(index, place) else {
            return false;
        };
        self.places.insert(index, packed);
        true
    }

    pub(crate) fn contains(&self, index: u64) -> bool {
        self.places.get(index).is_some()
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.places.last()
    }

    /// Gives back a line. After an error it can be asked for again.
    pub(crate) fn take(&mut self, index: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(packed) = self.places.get(index) else {
            return Ok(None);
        };
        let line = self.line(unpacked(index, packed))?;
        self.places.remove(index);
        Ok(Some(line))
    }

    /// The line of a row whose result is at a position.
    pub(crate) fn row(&self, row: &Row, position: Position) -> Result<Vec<u8>, JournalError> {
        let ended = self.journal.latest(position)?;
        Ok(match ended.body {
            Some(part) => row.ended(&part),
            None => row.line(&Added {
                error: "internal: its result was not put into the journal",
                ..Added::default()
            }),
        })
    }

    /// The line at a place.
    pub(crate) fn line(&self, place: Place) -> Result<Vec<u8>, JournalError> {
        let ended = self.journal.latest(place.position)?;
        Ok(match ended.body {
            Some(part) => whole_line(place.line, &part),
            None => not_kept(place.line),
        })
    }
}

/// The line of a call whose result was never kept: none that this program makes.
fn not_kept(line: u64) -> Vec<u8> {
    let failure =
        Failure::before_sending(code::INTERNAL, "its result was not put into the journal");
    let record = Record {
        line,
        custom_id: None,
        response: None,
        error: Some(failure),
    };
    record.to_line()
}

fn packed(index: u64, place: Place) -> Option<u64> {
    let above = place.line.checked_sub(index + 1)?;
    let fits = above >> ABOVE_BITS == 0 && place.position >> (63 - ABOVE_BITS) == 0;
    fits.then_some(place.position << ABOVE_BITS | above)
}

fn unpacked(index: u64, packed: u64) -> Place {
    let above = packed & ((1 << ABOVE_BITS) - 1);
    Place {
        line: index + 1 + above,
        position: packed >> ABOVE_BITS,
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, packed, unpacked};

    #[test]
    fn a_place_takes_eight_bytes() {
        for (index, line, position) in [
            (0, 1, 0),
            (9, 10, (1 << 39) - 1),
            (1_000_000, 1_000_001 + (1 << 24) - 1, 7),
        ] {
            let place = Place { line, position };
            let bits = packed(index, place).expect("it fits");
            assert_eq!(unpacked(index, bits), place);
        }
        let too_large = [(0, 1, 1 << 39), (0, 1 + (1 << 24), 0), (5, 5, 0)];
        for (index, line, position) in too_large {
            assert_eq!(packed(index, Place { line, position }), None);
        }
    }
}
