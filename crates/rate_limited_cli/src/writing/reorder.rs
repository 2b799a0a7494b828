//! Lines that come in any order and are written in the order of the input.

use std::collections::BTreeMap;

use rate_limited_store::Position;

use crate::reading::offsets::Offsets;
use crate::reading::spill::Spill;
use crate::writing::output::OutputError;
use crate::writing::recorded::{Place, Recorded};
use crate::writing::row::{Row, Table};
use crate::writing::sink::Sink;

/// The memory for lines whose turn has not come, in bytes: 16 MiB.
pub const MEMORY_BYTES_MAX: usize = 16 << 20;

/// What a waiting line costs beside its bytes: its place in the map and in the allocator.
const ENTRY_BYTES: usize = 64;

/// How much is gathered for one write.
const CHUNK_BYTES: usize = 1 << 18;

/// How much is written at one go, so that whoever brings a line is not kept for long: 4 MiB.
const GO_BYTES: usize = 4 << 20;

/// In which order lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Order {
    /// That of the input: a line waits until all before it are written.
    #[default]
    Input,
    /// As they come.
    Completion,
}

/// Writes an unbroken beginning of the output, each line as soon as its turn comes.
///
/// A line whose turn has not come waits in memory, up to a limit that includes what the bookkeeping
/// takes; beyond it in the journal, where there is one and it has the result, or else in a file beside the
/// output. The index of either takes 8 bytes a line.
///
/// ```
/// use std::io::Write;
/// use rate_limited_cli::writing::sink::Sink;
/// use rate_limited_cli::writing::reorder::{Order, OrderedWriter};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("out.jsonl");
/// let sink = Sink::writer("out.jsonl", Box::new(std::fs::File::create(&path)?));
/// let mut writer = OrderedWriter::new(sink, Order::Input);
/// writer.put(1, b"second\n".to_vec())?;
/// assert_eq!(std::fs::read_to_string(&path)?, "");
/// writer.put(0, b"first\n".to_vec())?;
/// assert_eq!(std::fs::read_to_string(&path)?, "first\nsecond\n");
/// writer.finish(3, |index| format!("{index} was not run\n").into_bytes())?;
/// assert_eq!(std::fs::read_to_string(&path)?, "first\nsecond\n2 was not run\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OrderedWriter {
    sink: Sink,
    order: Order,
    /// All before it were given to the sink.
    next: u64,
    waiting: BTreeMap<u64, Box<[u8]>>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    spill: Spill,
    recorded: Option<Recorded>,
    table: Option<Table>,
    /// Whether lines whose turn has come are left for the next go.
    behind: bool,
    /// In the order of completion: the indexes from `next` on that were written.
    seen: Offsets,
}

impl OrderedWriter {
    /// A writer with [`MEMORY_BYTES_MAX`] of memory.
    pub fn new(sink: Sink, order: Order) -> OrderedWriter {
        let spill = sink.spill();
        OrderedWriter {
            sink,
            order,
            next: 0,
            waiting: BTreeMap::new(),
            memory_bytes: 0,
            memory_bytes_max: MEMORY_BYTES_MAX,
            spill,
            recorded: None,
            table: None,
            behind: false,
            seen: Offsets::default(),
        }
    }

    /// Lets lines wait in the journal.
    pub(crate) fn with_records(self, recorded: Option<Recorded>) -> OrderedWriter {
        OrderedWriter { recorded, ..self }
    }

    /// Begins an empty output with the header of a table.
    pub(crate) fn with_table(mut self, table: Option<&Table>) -> OrderedWriter {
        self.sink
            .begin_with(table.map(|table| table.header.clone()));
        self.table = table.cloned();
        self
    }

    /// The table that the output is, if it is one.
    pub(crate) fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// Lets go of the journal: nothing more waits there.
    pub(crate) fn leave_records(&mut self) {
        self.recorded = None;
    }

    /// Goes on behind the first lines of an output that is there, and cuts off the rest.
    pub(crate) fn go_on_behind(&mut self, lines: u64, bytes: u64) -> Result<(), OutputError> {
        self.next = lines;
        self.sink.cut(lines, bytes)
    }

    /// Another limit on the memory of waiting lines, in bytes; 0 sends all of them to the disk.
    #[must_use]
    pub fn memory_bytes_max(mut self, bytes: usize) -> OrderedWriter {
        self.memory_bytes_max = bytes;
        self
    }

    /// The memory that waiting lines take, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The bytes of the spill file.
    pub fn spill_bytes(&self) -> u64 {
        self.spill.bytes()
    }

    /// The whole lines that the output has.
    pub fn lines_written(&self) -> u64 {
        self.sink.lines_written()
    }

    /// The first index whose line has not come.
    pub fn next_index(&self) -> u64 {
        self.next
    }

    /// Takes the line of an index, counted from 0; a missing line end is added.
    ///
    /// # Errors
    /// The output or the spill file cannot be written, or the index came before. After a failed write
    /// the line is kept, even above the limit on memory, and written with the next call that succeeds.
    pub fn put(&mut self, index: u64, line: Vec<u8>) -> Result<(), OutputError> {
        self.put_result(index, line, None)
    }

    /// As [`OrderedWriter::put`], for a line that may be in the journal as well.
    pub(crate) fn put_result(
        &mut self,
        index: u64,
        line: Vec<u8>,
        place: Option<Place>,
    ) -> Result<(), OutputError> {
        if self.has(index) {
            return Err(OutputError::Repeated(index));
        }
        match self.order {
            Order::Completion => {
                self.write(index, &line);
                self.behind = false;
                self.sink.flush()
            }
            Order::Input if index == self.next => {
                self.write(index, &line);
                self.write_ready()
            }
            Order::Input => self.keep(index, line, place),
        }
    }

    /// Takes a line that is in the journal and nowhere else. Many of them may follow each other: they are
    /// written together, at the latest by [`OrderedWriter::go_on`].
    pub(crate) fn put_recorded(&mut self, index: u64, place: Place) -> Result<(), OutputError> {
        if self.has(index) {
            return Err(OutputError::Repeated(index));
        }
        let Some(recorded) = &mut self.recorded else {
            return Err(OutputError::Repeated(index));
        };
        if !recorded.put(index, place) {
            let line = recorded.line(place).map_err(OutputError::Recorded)?;
            return self.put(index, line);
        }
        let is_due = self.order == Order::Completion || index == self.next;
        let line = if is_due {
            self.take_waiting(index)?
        } else {
            None
        };
        if let Some(line) = line {
            self.write(index, &line);
        }
        self.behind = true;
        self.flush_chunk()
    }

    /// Takes the line of a row whose result is in the journal.
    pub(crate) fn put_row(
        &mut self,
        index: u64,
        row: &Row,
        position: Position,
    ) -> Result<(), OutputError> {
        let Some(recorded) = &self.recorded else {
            return Err(OutputError::Repeated(index));
        };
        let line = recorded.row(row, position).map_err(OutputError::Recorded)?;
        self.put(index, line)
    }

    /// Whether lines whose turn has come were left for [`OrderedWriter::go_on`].
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Writes lines whose turn has come, for a while.
    pub(crate) fn go_on(&mut self) -> Result<(), OutputError> {
        self.write_ready()
    }

    /// Writes what is missing below `total` with lines made by `fill`, and waits for the disk.
    ///
    /// Lines with an index from `total` on are written too, and what is missing before them is filled.
    ///
    /// # Errors
    /// The output cannot be written or the spill file cannot be read. It may be called again.
    pub fn finish(
        &mut self,
        total: u64,
        mut fill: impl FnMut(u64) -> Vec<u8>,
    ) -> Result<(), OutputError> {
        let last = [
            self.waiting.keys().next_back().copied(),
            self.spill.last(),
            self.recorded.as_ref().and_then(Recorded::last),
            self.seen.last(),
        ];
        let end = last
            .into_iter()
            .flatten()
            .map(|last| last.saturating_add(1))
            .fold(total, u64::max);
        while self.next < end {
            let next = self.next;
            let line = match self.take_waiting(next)? {
                Some(line) => line,
                None => fill(next).into_boxed_slice(),
            };
            self.write(next, &line);
            self.flush_chunk()?;
        }
        self.sink.finish()
    }

    fn has(&self, index: u64) -> bool {
        index < self.next
            || self.waiting.contains_key(&index)
            || self.spill.contains(index)
            || self.recorded.as_ref().is_some_and(|it| it.contains(index))
            || self.seen.get(index).is_some()
    }

    /// Notes an index as written and moves `next` past all that are.
    fn mark(&mut self, index: u64) {
        self.seen.insert(index, 0);
        while self.seen.get(self.next).is_some() {
            self.seen.remove(self.next);
            self.next += 1;
        }
    }

    fn keep(&mut self, index: u64, line: Vec<u8>, place: Option<Place>) -> Result<(), OutputError> {
        let bytes = line.len() + ENTRY_BYTES;
        let spilled = if self.memory_bytes + bytes <= self.memory_bytes_max {
            Ok(false)
        } else if self.is_recorded(index, place) {
            return Ok(());
        } else {
            self.spill.put(index, &line).map(|()| true)
        };
        if !matches!(spilled, Ok(true)) {
            self.memory_bytes += bytes;
            self.waiting.insert(index, line.into_boxed_slice());
        }
        spilled
            .map(|_| ())
            .map_err(|source| self.spill_failed(source))
    }

    /// Whether a line can wait in the journal.
    fn is_recorded(&mut self, index: u64, place: Option<Place>) -> bool {
        let Some((recorded, place)) = self.recorded.as_mut().zip(place) else {
            return false;
        };
        // What came while it failed may be elsewhere.
        recorded.is_sound() && recorded.put(index, place)
    }

    /// Writes lines whose turn has come, and notes whether some are left.
    fn write_ready(&mut self) -> Result<(), OutputError> {
        let mut written = 0;
        self.behind = false;
        while let Some(line) = self.take_waiting(self.next)? {
            written += line.len();
            self.write(self.next, &line);
            self.flush_chunk()?;
            if written >= GO_BYTES {
                self.behind = true;
                break;
            }
        }
        self.sink.flush()
    }

    /// Gives the sink a line whose turn has come.
    fn write(&mut self, index: u64, line: &[u8]) {
        self.sink.push(line);
        match self.order {
            Order::Input => self.next += 1,
            Order::Completion => self.mark(index),
        }
    }

    /// Writes once enough is gathered, so that a long queue is never in memory as a whole.
    fn flush_chunk(&mut self) -> Result<(), OutputError> {
        if self.sink.ready_bytes() >= CHUNK_BYTES {
            self.sink.flush()
        } else {
            Ok(())
        }
    }

    fn take_waiting(&mut self, index: u64) -> Result<Option<Box<[u8]>>, OutputError> {
        if let Some(line) = self.waiting.remove(&index) {
            self.memory_bytes -= line.len() + ENTRY_BYTES;
            return Ok(Some(line));
        }
        let found = match self.spill.take(index) {
            Ok(None) => match &mut self.recorded {
                Some(recorded) => recorded.take(index).map_err(OutputError::Recorded),
                None => Ok(None),
            },
            Ok(line) => Ok(line),
            Err(source) => Err(self.spill_failed(source)),
        };
        if found.is_err() {
            // What is gathered is whole and its turn has come, whatever happened to the rest.
            self.sink.flush()?;
        }
        found.map(|line| line.map(Vec::into_boxed_slice))
    }

    fn spill_failed(&self, source: std::io::Error) -> OutputError {
        OutputError::Spill {
            path: self.spill.path().to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use rate_limited_store::{Digest, End, Journal, Options, Record as Entry};

    use super::{GO_BYTES, Order, OrderedWriter, OutputError};
    use crate::reading::spill::Spill;
    use crate::writing::record::{Failure, Record, kept_part};
    use crate::writing::recorded::{Place, Recorded};
    use crate::writing::sink::Sink;

    fn writer(path: &Path, order: Order) -> OrderedWriter {
        let file = std::fs::File::create(path).expect("new");
        let sink = Sink::writer("out", Box::new(file));
        OrderedWriter::new(sink, order).memory_bytes_max(0)
    }

    #[test]
    fn without_a_disk_lines_stay_in_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let mut writer = writer(&path, Order::Input);
        let nowhere = folder.path().join("no/x.spill");
        writer.spill = Spill::new(nowhere.clone(), nowhere);
        let error = writer.put(1, b"second\n".to_vec()).expect_err("no folder");
        assert!(matches!(error, OutputError::Spill { .. }), "{error}");
        writer.put(0, b"first\n".to_vec()).expect("room");
        assert_eq!(std::fs::read(&path).expect("there"), b"first\nsecond\n");
    }

    /// The line of an index, every third line of the input being blank.
    fn line(index: u64, name: &str) -> (u64, Vec<u8>) {
        let number = index + 1 + index / 2;
        let failure = Failure::before_sending("x", "long ".repeat(200));
        let record = Record {
            line: number,
            custom_id: Some(name).filter(|name| !name.is_empty()),
            response: None,
            error: Some(failure),
        };
        (number, record.to_line())
    }

    #[test]
    fn lines_may_wait_in_the_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let opened = Journal::open(&folder.path().join("j"), &Options::default());
        let journal = Arc::new(opened.expect("new").journal);
        let count = GO_BYTES as u64 / 800;
        let name = |index: u64| if index.is_multiple_of(3) { "" } else { "name" };
        let mut last = 0;
        let mut whole = Vec::new();
        for index in 0..count {
            let (number, line) = line(index, name(index));
            let part = kept_part(&line, number, !name(index).is_empty()).to_vec();
            let key = Digest::of(&[&index.to_le_bytes()]);
            // Positions are not in the order of the input.
            let end = End::done(count - index, key, key, 1, Some(part));
            last = journal.push(Entry::End(end)).expect("open");
            whole.extend(line);
        }
        journal.wait(last).expect("room");
        let path = folder.path().join("out");
        for order in [Order::Input, Order::Completion] {
            let mut writer = writer(&path, order);
            writer = writer.with_records(Some(Recorded::new(Arc::clone(&journal))));
            for index in 1..count {
                let (number, line) = line(index, name(index));
                let position = count - index;
                let place = Place {
                    line: number,
                    position,
                };
                if index.is_multiple_of(2) {
                    writer.put_recorded(index, place).expect("it is there");
                } else {
                    let put = writer.put_result(index, line, Some(place));
                    put.expect("it is there");
                }
                assert_eq!((writer.spill_bytes(), writer.memory_bytes()), (0, 0));
            }
            writer.put(0, line(0, "").1).expect("room");
            // So many are not written at one go.
            assert_eq!(writer.is_behind(), order == Order::Input);
            while writer.is_behind() {
                writer.go_on().expect("room");
            }
            writer
                .finish(count, |_| panic!("none is missing"))
                .expect("room");
            let mut text = std::fs::read(&path).expect("there");
            if order == Order::Completion {
                // The first one came last.
                let first = line(0, "").1.len();
                text.rotate_right(first);
            }
            assert!(text == whole, "the lines are others, or elsewhere");
        }
    }
}
