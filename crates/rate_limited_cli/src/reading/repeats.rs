//! Which of many numbers come more than once, in bounded memory.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::reading::scratch::Scratch;

/// Numbers in memory before they go to disk: 8 MiB of them.
const HELD_MAX: usize = 1 << 20;

/// Bytes of all sorted runs together that are in memory while they are merged.
const MERGED: u64 = 4 << 20;

/// The size of a number on disk.
const NUMBER: u64 = 8;

/// Numbers, of which those are wanted that come more than once.
///
/// What does not fit into memory goes to a temporary file in sorted runs, which are merged at the end. Where
/// no such file can be written, all stays in memory.
#[derive(Debug)]
pub(crate) struct Repeats {
    held: Vec<u64>,
    held_max: usize,
    /// The file, and the bytes of each run in it.
    disk: Option<(Scratch, Vec<Range<u64>>)>,
}

impl Default for Repeats {
    fn default() -> Repeats {
        Repeats::holding(HELD_MAX)
    }
}

impl Repeats {
    fn holding(held_max: usize) -> Repeats {
        Repeats {
            held: Vec::new(),
            held_max,
            disk: None,
        }
    }

    pub(crate) fn add(&mut self, number: u64) {
        if self.held.len() >= self.held_max {
            match self.move_out() {
                Ok(()) => self.held.clear(),
                Err(_) => self.held_max = usize::MAX,
            }
        }
        self.held.push(number);
    }

    fn move_out(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        if self.disk.is_none() {
            self.disk = Some((Scratch::temporary("names")?, Vec::new()));
        }
        let Some((scratch, runs)) = &mut self.disk else {
            return Ok(());
        };
        let start = runs.last().map_or(0, |run| run.end);
        scratch.file.seek(SeekFrom::Start(start))?;
        let mut file = BufWriter::with_capacity(1 << 16, &scratch.file);
        for number in &self.held {
            file.write_all(&number.to_le_bytes())?;
        }
        file.flush()?;
        runs.push(start..start + NUMBER * self.held.len() as u64);
        Ok(())
    }

    /// Those that came more than once.
    ///
    /// # Errors
    /// The temporary file cannot be read any more.
    pub(crate) fn find(mut self) -> io::Result<HashSet<u64>> {
        self.held.sort_unstable();
        let mut runs = Vec::new();
        if let Some((scratch, places)) = &self.disk {
            let bytes = (MERGED / places.len() as u64).max(1 << 12);
            for place in places {
                runs.push(Run::new(&scratch.file, place.clone(), bytes));
            }
        }
        let mut heads = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next()?.map(|number| Reverse((number, index))));
        }
        let (mut held, in_memory) = (self.held.iter().copied(), runs.len());
        heads.extend(held.next().map(|number| Reverse((number, in_memory))));
        let (mut repeated, mut last) = (HashSet::new(), None);
        while let Some(Reverse((number, index))) = heads.pop() {
            if last.replace(number) == Some(number) {
                repeated.insert(number);
            }
            let next = match runs.get_mut(index) {
                Some(run) => run.next()?,
                None => held.next(),
            };
            heads.extend(next.map(|number| Reverse((number, index))));
        }
        Ok(repeated)
    }
}

/// A sorted run on disk, read a piece at a time.
struct Run<'a> {
    file: &'a File,
    /// What was not read yet.
    left: Range<u64>,
    bytes: u64,
    piece: std::vec::IntoIter<u8>,
}

impl Run<'_> {
    fn new(file: &File, left: Range<u64>, bytes: u64) -> Run<'_> {
        // Whole numbers.
        let (bytes, piece) = (bytes / NUMBER * NUMBER, Vec::new().into_iter());
        Run {
            file,
            left,
            bytes,
            piece,
        }
    }

    fn next(&mut self) -> io::Result<Option<u64>> {
        if self.piece.len() == 0 && !self.left.is_empty() {
            let length = self.bytes.min(self.left.end - self.left.start);
            let mut piece = vec![0; length as usize];
            self.file.seek(SeekFrom::Start(self.left.start))?;
            self.file.read_exact(&mut piece)?;
            self.left.start += length;
            self.piece = piece.into_iter();
        }
        let number = self.piece.as_slice().first_chunk().copied();
        if number.is_some() {
            self.piece.nth(NUMBER as usize - 1);
        }
        Ok(number.map(u64::from_le_bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HashSet, Repeats};

    /// By the plainest rule.
    fn repeated(numbers: &[u64]) -> HashSet<u64> {
        let mut seen = HashSet::new();
        let again = numbers.iter().filter(|number| !seen.insert(**number));
        again.copied().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn those_that_repeat_are_found_on_disk_as_in_memory(
            numbers in prop::collection::vec(0..2_000_u64, 0..3_000),
            held_max in prop::sample::select(vec![1, 2, 7, 100, 1_000, 5_000]),
        ) {
            let mut repeats = Repeats::holding(held_max);
            for number in &numbers {
                repeats.add(*number);
            }
            prop_assert_eq!(repeats.disk.is_some(), numbers.len() > held_max);
            prop_assert_eq!(repeats.find().expect("readable"), repeated(&numbers));
        }
    }

    #[test]
    fn runs_longer_than_a_piece_are_read_whole() {
        let numbers: Vec<u64> = (0..200_000).map(|n| n * 7_919 % 199_999).collect();
        let mut repeats = Repeats::holding(1 << 16);
        for number in &numbers {
            repeats.add(*number);
        }
        assert_eq!(repeats.find().expect("readable"), repeated(&numbers));
    }
}
