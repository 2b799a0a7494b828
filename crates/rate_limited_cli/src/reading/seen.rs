//! The names of an input that can be read only once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::reading::scratch::Scratch;

/// Names in memory before they go to disk: about 4 MB of them.
const HELD_MAX: usize = 1 << 16;

/// The bytes of a page of the table on disk, and of an entry in it: the hash, and the line, which is 0 where it is free.
const PAGE: usize = 4_096;
const ENTRY: usize = 24;

/// Names in a page of a table that was just made.
const PAGE_FILL: usize = 64;

/// The names so far, each with the first line that has it.
///
/// A stream cannot be read again to tell two names of one hash apart, so the hash is as long as makes that never
/// happen: with keys drawn at random, the odds over ten million names are below 10⁻²⁴.
///
/// What does not fit into memory goes to a temporary file, up to 72 bytes a name. Where no such file can be written,
/// names stay in memory.
#[derive(Debug)]
pub(crate) struct Seen {
    keys: [RandomState; 2],
    held: HashMap<u128, u64>,
    held_max: usize,
    table: Option<Table>,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen::holding(HELD_MAX)
    }
}

impl Seen {
    fn holding(held_max: usize) -> Seen {
        Seen {
            keys: [RandomState::new(), RandomState::new()],
            held: HashMap::new(),
            held_max,
            table: None,
        }
    }

    /// The first line of this name: this one, if the name is new.
    ///
    /// # Errors
    /// The temporary file cannot be read any more.
    pub(crate) fn first(&mut self, name: &str, line: u64) -> io::Result<u64> {
        let [high, low] = self.keys.each_ref().map(|key| key.hash_one(name));
        let hash = u128::from(high) << 64 | u128::from(low);
        if let Some(first) = self.held.get(&hash) {
            return Ok(*first);
        }
        if let Some(table) = &mut self.table
            && let Some(first) = table.first(hash, line)?
        {
            return Ok(first);
        }
        self.held.insert(hash, line);
        if self.held.len() >= self.held_max {
            self.held_max = usize::MAX;
            if let Ok(table) = Table::of(&self.held) {
                (self.table, self.held) = (Some(table), HashMap::new());
            }
        }
        Ok(line)
    }
}

/// A hash table on disk, whose pages are found by the lower bits of the hash.
#[derive(Debug)]
struct Table {
    scratch: Scratch,
    /// A power of two.
    pages: u64,
    page: Vec<u8>,
}

impl Table {
    fn of(names: &HashMap<u128, u64>) -> io::Result<Table> {
        let pages = (names.len() / PAGE_FILL).next_power_of_two() as u64;
        let mut table = Table::new(pages)?;
        for (hash, line) in names {
            if table.first(*hash, *line)?.is_none() {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(table)
    }

    fn new(pages: u64) -> io::Result<Table> {
        let scratch = Scratch::temporary("names")?;
        scratch.file.set_len(pages * PAGE as u64)?;
        Ok(Table {
            scratch,
            pages,
            page: vec![0; PAGE],
        })
    }

    /// The line of this name: this one, if it is new. `None` if it is new and there is no room for it.
    fn first(&mut self, hash: u128, line: u64) -> io::Result<Option<u64>> {
        loop {
            let number = hash as u64 & (self.pages - 1);
            self.read(number).map_err(|error| {
                io::Error::new(error.kind(), format!("its names so far: {error}"))
            })?;
            for (place, entry) in self.page.chunks_exact(ENTRY).enumerate() {
                match parts(entry) {
                    (_, 0) => {
                        let at = number * PAGE as u64 + (place * ENTRY) as u64;
                        return Ok(self.write(at, hash, line).ok().map(|()| line));
                    }
                    (known, first) if known == hash => return Ok(Some(first)),
                    _ => {}
                }
            }
            match self.larger() {
                Ok(larger) => *self = larger,
                Err(_) => return Ok(None),
            }
        }
    }

    /// The same names on twice as many pages.
    fn larger(&mut self) -> io::Result<Table> {
        let mut larger = Table::new(self.pages * 2)?;
        for number in 0..self.pages {
            self.read(number)?;
            let (mut halves, mut lengths) = ([[0; PAGE]; 2], [0; 2]);
            for entry in self.page.chunks_exact(ENTRY) {
                let (hash, line) = parts(entry);
                if line > 0 {
                    let half = usize::from(hash as u64 & self.pages != 0);
                    halves[half][lengths[half]..][..ENTRY].copy_from_slice(entry);
                    lengths[half] += ENTRY;
                }
            }
            for (half, place) in halves.iter().zip([number, number + self.pages]) {
                let file = &mut larger.scratch.file;
                file.seek(SeekFrom::Start(place * PAGE as u64))?;
                file.write_all(half)?;
            }
        }
        Ok(larger)
    }

    fn read(&mut self, number: u64) -> io::Result<()> {
        let file = &mut self.scratch.file;
        file.seek(SeekFrom::Start(number * PAGE as u64))?;
        file.read_exact(&mut self.page)
    }

    fn write(&mut self, at: u64, hash: u128, line: u64) -> io::Result<()> {
        let mut entry = [0; ENTRY];
        entry[..16].copy_from_slice(&hash.to_le_bytes());
        entry[16..].copy_from_slice(&line.to_le_bytes());
        let file = &mut self.scratch.file;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&entry)
    }
}

/// The hash and the line of an entry.
fn parts(entry: &[u8]) -> (u128, u64) {
    let hash = entry.first_chunk().copied().map_or(0, u128::from_le_bytes);
    let line = entry.last_chunk().copied().map_or(0, u64::from_le_bytes);
    (hash, line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HashMap, Seen};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_first_line_of_a_name_is_known_on_disk_as_in_memory(
            names in prop::collection::vec(0..3_000_u32, 0..4_000),
            held_max in prop::sample::select(vec![1, 10, 500, 10_000]),
        ) {
            let (mut seen, mut known) = (Seen::holding(held_max), HashMap::new());
            for (line, name) in (1..).zip(&names) {
                let first = *known.entry(*name).or_insert(line);
                prop_assert_eq!(seen.first(&name.to_string(), line).expect("readable"), first);
            }
            prop_assert_eq!(seen.table.is_some(), known.len() >= held_max);
        }
    }

    #[test]
    fn the_table_grows() {
        let mut seen = Seen::holding(100);
        for line in 1..=20_000 {
            assert_eq!(seen.first(&line.to_string(), line).expect("readable"), line);
        }
        for line in 1..=20_000 {
            assert_eq!(
                seen.first(&line.to_string(), 20_001).expect("readable"),
                line
            );
        }
        let table = seen.table.expect("more than memory holds");
        assert!(table.pages >= 128 && seen.held.is_empty());
    }
}
