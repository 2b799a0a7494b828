//! A map from the index of a line to a number, 8 bytes an entry where indexes lie close together.

use std::collections::BTreeMap;

const CHUNK: u64 = 256;

/// Entries in chunks of neighbours; a chunk is given back with its last entry.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    chunks: BTreeMap<u64, Chunk>,
}

#[derive(Debug)]
struct Chunk {
    used: u64,
    /// 0 is no entry; else one more than the number.
    slots: Box<[u64]>,
}

impl Offsets {
    /// Adds an entry; numbers are below `u64::MAX`.
    pub(crate) fn insert(&mut self, index: u64, number: u64) {
        let empty = || Chunk {
            used: 0,
            slots: vec![0; slot(CHUNK - 1) + 1].into(),
        };
        let chunk = self.chunks.entry(index / CHUNK).or_insert_with(empty);
        let slot = &mut chunk.slots[slot(index)];
        chunk.used += u64::from(*slot == 0);
        *slot = number.saturating_add(1);
    }

    pub(crate) fn get(&self, index: u64) -> Option<u64> {
        self.chunks.get(&(index / CHUNK))?.slots[slot(index)].checked_sub(1)
    }

    pub(crate) fn remove(&mut self, index: u64) {
        let Some(chunk) = self.chunks.get_mut(&(index / CHUNK)) else {
            return;
        };
        let slot = &mut chunk.slots[slot(index)];
        chunk.used -= u64::from(*slot != 0);
        *slot = 0;
        if chunk.used == 0 {
            self.chunks.remove(&(index / CHUNK));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The largest index that has an entry.
    pub(crate) fn last(&self) -> Option<u64> {
        let (number, chunk) = self.chunks.last_key_value()?;
        let place = chunk.slots.iter().rposition(|slot| *slot != 0)?;
        Some(number * CHUNK + place as u64)
    }
}

fn slot(index: u64) -> usize {
    usize::try_from(index % CHUNK).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Offsets;

    #[test]
    fn entries_come_and_go() {
        let mut offsets = Offsets::default();
        for index in [0, 255, 256, u64::MAX] {
            offsets.insert(index, index / 2);
            assert_eq!(offsets.get(index), Some(index / 2));
            assert_eq!(offsets.last(), Some(index));
        }
        assert_eq!(offsets.get(1), None);
        for index in [255, 255, 0, u64::MAX, 256] {
            offsets.remove(index);
            assert_eq!(offsets.get(index), None);
        }
        assert!(offsets.is_empty());
    }
}
