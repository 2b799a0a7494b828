//! Records of a table: cells apart, each record of bounded size, over as many lines as its quotes span.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::reading::bad_line::{BadReason, Fault};
use crate::reading::input::LINE_BYTES_MAX;
use crate::reading::line;
use crate::reading::raw_lines::{Behind, RawLines};

/// What keeps a record from being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CsvFault {
    /// It is longer than is read.
    TooLong,
    /// A quote opens in it and is never closed.
    OpenQuote,
    /// A carriage return ends it without a line feed.
    CarriageReturn,
}

/// One record.
#[derive(Debug)]
pub(crate) struct CsvRecord<'a> {
    /// Its first line, counted from 1.
    pub(crate) number: u64,
    /// Where it starts in the source, in bytes.
    pub(crate) offset: u64,
    /// Where the source stands behind it.
    pub(crate) behind: Behind,
    pub(crate) cells: Result<Cells<'a>, CsvFault>,
}

/// The cells of a record, as bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    text: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Cells<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let places = starts.zip(self.ends);
        places.map(move |(start, end)| &self.text[start..*end])
    }

    /// The cells as text.
    ///
    /// # Errors
    /// A byte that is no text.
    pub(crate) fn text(self) -> Result<Vec<&'a str>, Fault> {
        let text = |cell: &'a [u8]| {
            std::str::from_utf8(cell)
                .map_err(|error| Fault::new(0, BadReason::NotUtf8(cell[error.valid_up_to()])))
        };
        self.iter().map(text).collect()
    }

    /// Whether all cells are empty.
    fn is_void(self) -> bool {
        self.text.is_empty()
    }
}

/// Reads records; lines without any value are passed over.
#[derive(Debug)]
pub(crate) struct CsvLines {
    core: Reader,
    bytes_max: usize,
    text: Vec<u8>,
    ends: Vec<usize>,
    blank: u64,
}

/// Where a record stands that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Filled {
    text: usize,
    ends: usize,
    bytes: usize,
}

/// A record in the buffers: its first line, where that starts, and how far it fills them.
type ReadRecord = (u64, u64, Result<Filled, CsvFault>);

impl CsvLines {
    pub(crate) fn new(delimiter: u8, bytes_max: usize) -> CsvLines {
        CsvLines {
            core: ReaderBuilder::new().delimiter(delimiter).build(),
            bytes_max,
            text: vec![0; 1 << 12],
            ends: vec![0; 1 << 6],
            blank: 0,
        }
    }

    /// The lines without any value so far.
    pub(crate) fn blank(&self) -> u64 {
        self.blank
    }

    /// The next record, or `None` at the end.
    pub(crate) fn next<R: BufRead>(
        &mut self,
        raw: &mut RawLines<R>,
    ) -> io::Result<Option<CsvRecord<'_>>> {
        loop {
            let Some((number, offset, cells)) = self.read(raw)? else {
                return Ok(None);
            };
            let behind = raw.behind();
            if let Ok(filled) = cells
                && self.cells(filled).is_void()
            {
                self.blank += behind.lines - number + 1;
                continue;
            }
            let cells = cells.map(|filled| self.cells(filled));
            return Ok(Some(CsvRecord {
                number,
                offset,
                behind,
                cells,
            }));
        }
    }

    fn cells(&self, filled: Filled) -> Cells<'_> {
        Cells {
            text: &self.text[..filled.text],
            ends: &self.ends[..filled.ends],
        }
    }

    /// Reads a record into the buffers.
    fn read<R: BufRead>(&mut self, raw: &mut RawLines<R>) -> io::Result<Option<ReadRecord>> {
        self.core.reset();
        let mut filled = Filled::default();
        let mut began = None;
        while let Some(line) = raw.next()? {
            let (number, offset) = *began.get_or_insert((line.number, line.offset));
            let Some(bytes) = line.bytes else {
                return Ok(Some((number, offset, Err(CsvFault::TooLong))));
            };
            if (filled.bytes, number) == (0, line.number) && line::is_blank(bytes) {
                self.blank += 1;
                began = None;
                continue;
            }
            filled.bytes += bytes.len();
            let ended = self.feed(bytes, &mut filled);
            // A line break within quotes is part of its cell; one is made up for the last line.
            let end = if line.is_crlf { &b"\r\n"[..] } else { b"\n" };
            let ended = match ended {
                Some(0) | None if self.feed(end, &mut filled).is_some() => Some(0),
                other => other,
            };
            if filled.bytes > self.bytes_max {
                (filled.text, filled.ends) = (0, 0);
            }
            if let Some(left) = ended {
                let fault = match left {
                    0 if filled.bytes > self.bytes_max => Err(CsvFault::TooLong),
                    0 => Ok(filled),
                    _ => Err(CsvFault::CarriageReturn),
                };
                return Ok(Some((number, offset, fault)));
            }
        }
        Ok(began.map(|(number, offset)| (number, offset, Err(CsvFault::OpenQuote))))
    }

    /// Reads on. At the end of the record: how many bytes of the input are left.
    fn feed(&mut self, mut input: &[u8], filled: &mut Filled) -> Option<usize> {
        while !input.is_empty() {
            let (result, read, text, ends) = self.core.read_record(
                input,
                &mut self.text[filled.text..],
                &mut self.ends[filled.ends..],
            );
            input = &input[read..];
            filled.text += text;
            filled.ends += ends;
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return None,
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => return Some(input.len()),
            }
        }
        None
    }
}

/// What is wrong with a record, in the words of bad lines.
pub(crate) fn csv_reason(fault: CsvFault) -> BadReason {
    match fault {
        CsvFault::TooLong => BadReason::TooLong(LINE_BYTES_MAX as u64),
        CsvFault::OpenQuote => BadReason::OpenQuote,
        CsvFault::CarriageReturn => BadReason::CarriageReturn,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{CsvFault, CsvLines};
    use crate::reading::raw_lines::RawLines;
    use crate::writing::row::{self, Added, Table};

    type Found = (u64, u64, Result<Vec<String>, CsvFault>);

    fn records(text: &str, delimiter: u8, bytes_max: usize) -> Vec<Found> {
        let mut raw = RawLines::new(text.as_bytes(), bytes_max);
        let mut lines = CsvLines::new(delimiter, bytes_max);
        let mut all = Vec::new();
        while let Some(record) = lines.next(&mut raw).expect("a slice can be read") {
            let shown = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
            let cells = record.cells.map(|cells| cells.iter().map(shown).collect());
            all.push((record.number, record.behind.lines, cells));
        }
        all
    }

    fn good(number: u64, last: u64, cells: &[&str]) -> Found {
        let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
        (number, last, Ok(cells))
    }

    #[test]
    fn records_are_what_people_write() {
        let text = "\u{feff}id,text\r\n1,\"a, \"\"b\"\"\"\r\n\r\n2,\"two\r\nlines\"\n,,,\n3,5\" pipe\n4,last";
        let expected = [
            good(1, 1, &["id", "text"]),
            good(2, 2, &["1", "a, \"b\""]),
            good(4, 5, &["2", "two\r\nlines"]),
            good(7, 7, &["3", "5\" pipe"]),
            good(8, 8, &["4", "last"]),
        ];
        assert_eq!(records(text, b',', 100), expected);
        let semicolons = records("a;b\n1,5;2\n", b';', 100);
        assert_eq!(semicolons[1], good(2, 2, &["1,5", "2"]));
        let wide = "x,".repeat(500);
        assert_eq!(
            records(&wide, b',', 9_999)[0].2.as_ref().map(Vec::len),
            Ok(501)
        );
        let long = format!("\"{}\"", "y".repeat(50_000));
        assert_eq!(
            records(&long, b',', 99_999)[0],
            good(1, 1, &[&"y".repeat(50_000)])
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            rows in vec(vec("[a,;\\t\"\r\n é\u{1F41D}]{0,6}", 3), 1..8),
            delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
        ) {
            let columns = ["a", "b", "c"].map(str::to_owned);
            let table = Table::new(&columns, delimiter);
            let lines = rows.iter().map(|row| {
                let row = table.row(row.iter().map(String::as_str));
                let added = Added { answer: "x\n\"y\"", attempts: 1, ..Added::default() };
                row.line(&added)
            });
            let lines: Vec<_> = lines.collect();
            let text = String::from_utf8([table.header.clone(), lines.concat()].concat())?;
            let found = records(&text, delimiter, 1_000);
            prop_assert_eq!(found.len(), rows.len() + 1);
            for ((_, _, found), (row, line)) in found[1..].iter().zip(rows.iter().zip(&lines)) {
                let found = found.as_ref().expect("a record");
                prop_assert_eq!(&found[..3], &row[..]);
                prop_assert_eq!(&found[3..], &["x\n\"y\"", "", "1", ""]);
                prop_assert!(row::is_whole(line));
                let (part, error) = row::added(line, delimiter).expect("four cells more");
                prop_assert_eq!(table.row(row.iter().map(String::as_str)).part_of(line), Some(part));
                prop_assert!(error.is_empty());
            }
        }

        #[test]
        fn any_text_at_all_is_read_to_its_end(text in "[a,\"\r\n]{0,40}", bytes_max in 3_usize..20) {
            let found = records(&text, b',', bytes_max);
            let lines = text.split_inclusive('\n').count() as u64;
            let mut last = 0;
            for (number, end, _) in found {
                prop_assert!(number > last && end >= number && end <= lines);
                last = end;
            }
        }
    }

    #[test]
    fn what_is_no_record_is_told_and_the_next_one_read() {
        let text = "a,b\n1,\"open\n2,3\n";
        assert_eq!(
            records(text, b',', 100)[1],
            (2, 3, Err(CsvFault::OpenQuote))
        );
        let mac = "a,b\r1,2\r3,4";
        assert_eq!(records(mac, b',', 100)[0].2, Err(CsvFault::CarriageReturn));
        let long = format!("a\n\"{0}\n{0}\"\n{1}\nb\n", "x".repeat(8), "y".repeat(11));
        let expected = [
            good(1, 1, &["a"]),
            (2, 3, Err(CsvFault::TooLong)),
            (4, 4, Err(CsvFault::TooLong)),
            good(5, 5, &["b"]),
        ];
        assert_eq!(records(&long, b',', 10), expected);
    }
}
