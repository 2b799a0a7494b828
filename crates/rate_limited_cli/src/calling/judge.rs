//! The lines of an input, each judged by itself.

use std::io::{self, BufRead, Seek};

use crate::asking::rows::{Form, Rows};
use crate::reading::bad_line::{BadLine, BadReason, Fault};
use crate::reading::csv_lines::{CsvLines, csv_reason};
use crate::reading::input::InputError;
use crate::reading::line::{self, Glance, Parsed, Seen};
use crate::reading::raw_lines::{Behind, RawLines};
use crate::reading::request::{Request, record_id};
use crate::writing::prefix::Mark;

/// A line that is a request, with what a message about its name needs.
#[derive(Debug)]
pub(crate) struct Good {
    pub(crate) parsed: Parsed,
    id_column: u64,
    id_offset: u64,
    is_row: bool,
}

impl Good {
    /// The bad line that this one is because an earlier one has its name.
    pub(crate) fn duplicate_of(self, first_line: u64) -> BadLine {
        let Request {
            line,
            custom_id,
            row,
            ..
        } = self.parsed.request;
        let id = record_id(line, custom_id.as_deref()).into_owned();
        let is_row = self.is_row;
        let reason = BadReason::DuplicateId {
            id,
            first_line,
            is_row,
        };
        BadLine {
            line,
            column: self.id_column,
            offset: self.id_offset,
            custom_id,
            reason,
            row,
        }
    }
}

/// A line that was looked at by itself, without the others.
#[derive(Debug)]
pub(crate) enum Judged {
    Good(Good),
    /// It was known at a glance: its number, and its own name.
    Known(u64, Option<String>),
    /// Its number is that of a call that is over: the number, and where its result is.
    Over(u64, u64),
    Bad(BadLine),
}

/// The lines of a source, blank ones left out, each judged by itself.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    raw: RawLines<R>,
    bytes_max: usize,
    blank: u64,
    form: Form,
    /// Reads the records of a table.
    csv: Option<CsvLines>,
}

/// What knows a line at a glance. It is told where the source stands behind it.
pub(crate) type KnowsLine<'a> = dyn FnMut(&Glance<'_>, Behind) -> bool + 'a;

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(source: R, bytes_max: usize, form: &Form) -> Lines<R> {
        let header = form.rows().and_then(|rows| rows.header.as_ref());
        let raw = RawLines::new(source, bytes_max);
        let raw = match header.and_then(|header| header.behind) {
            Some(read) => raw.behind_read(read),
            None => raw,
        };
        Lines {
            raw,
            bytes_max,
            blank: 0,
            form: form.clone(),
            csv: header.map(|header| CsvLines::new(header.delimiter, bytes_max)),
        }
    }

    /// The next line. Where `over` has a place for the result of its number, it is not judged.
    pub(crate) fn next(
        &mut self,
        over: &mut dyn FnMut(u64) -> Option<u64>,
    ) -> io::Result<Option<Judged>> {
        self.step(over, &mut |_, _| false)
    }

    /// The next line; one that `known` knows at a glance is not judged.
    pub(crate) fn next_unless(&mut self, known: &mut KnowsLine<'_>) -> io::Result<Option<Judged>> {
        self.step(&mut |_| None, known)
    }

    fn step(
        &mut self,
        over: &mut dyn FnMut(u64) -> Option<u64>,
        known: &mut KnowsLine<'_>,
    ) -> io::Result<Option<Judged>> {
        if let (Some(csv), Form::Rows(rows)) = (&mut self.csv, &self.form) {
            return record(csv, &mut self.raw, rows, over, known);
        }
        while let Some(line) = self.raw.next()? {
            let (number, offset) = (line.number, line.offset);
            if let Some(position) = over(number) {
                return Ok(Some(Judged::Over(number, position)));
            }
            let Some(bytes) = line.bytes else {
                let fault = Fault::new(0, BadReason::TooLong(self.bytes_max as u64));
                return Ok(Some(Judged::Bad(located(number, offset, &[], fault))));
            };
            if line::is_blank(bytes) {
                self.blank += 1;
                continue;
            }
            let behind = line.behind;
            let mut known = |glance: &Glance<'_>| known(glance, behind);
            let seen = match &self.form {
                Form::Requests => line::parse(number, bytes, &mut known),
                Form::Rows(rows) => line::parse_row(number, bytes, rows, &mut known),
            };
            let is_row = self.form.rows().is_some();
            return Ok(Some(judged((number, offset), bytes, seen, is_row)));
        }
        Ok(None)
    }

    /// All lines so far, blank ones included.
    pub(crate) fn count(&self) -> u64 {
        self.raw.number()
    }

    pub(crate) fn blank(&self) -> u64 {
        self.blank + self.csv.as_ref().map_or(0, CsvLines::blank)
    }

    /// Where the source stands.
    pub(crate) fn behind(&self) -> Behind {
        self.raw.behind()
    }

    /// The error for a source that cannot be read on.
    pub(crate) fn failed(&self, name: &str, source: io::Error) -> InputError {
        let (line, offset) = (self.raw.number(), self.raw.offset());
        InputError::Read {
            name: name.to_owned(),
            line,
            offset,
            source,
        }
    }
}

impl<R: BufRead + Seek> Lines<R> {
    /// The same lines from `mark` on.
    pub(crate) fn seek(mut self, mark: Mark) -> io::Result<Lines<R>> {
        self.raw = self.raw.seek(mark)?;
        Ok(self)
    }
}

fn judged(
    (number, offset): (u64, u64),
    bytes: &[u8],
    seen: Result<Seen, Fault>,
    is_row: bool,
) -> Judged {
    match seen {
        Ok(Seen::Known(custom_id)) => Judged::Known(number, custom_id),
        Ok(Seen::Parsed(parsed)) => {
            let id_column = column(bytes, parsed.id_at);
            let id_offset = offset + parsed.id_at as u64;
            Judged::Good(Good {
                parsed: *parsed,
                id_column,
                id_offset,
                is_row,
            })
        }
        Err(fault) => Judged::Bad(located(number, offset, bytes, fault)),
    }
}

/// The next record of a table behind its header.
fn record<R: BufRead>(
    csv: &mut CsvLines,
    raw: &mut RawLines<R>,
    rows: &Rows,
    over: &mut dyn FnMut(u64) -> Option<u64>,
    known: &mut KnowsLine<'_>,
) -> io::Result<Option<Judged>> {
    let Some(header) = &rows.header else {
        return Ok(None);
    };
    if raw.behind() == Behind::default() {
        let found = csv.next(raw)?;
        let names = found.and_then(|found| found.cells.ok());
        if !names.is_some_and(|names| header.columns.are(names)) {
            return Err(io::Error::other("its header has changed since the start"));
        }
    }
    let Some(record) = csv.next(raw)? else {
        return Ok(None);
    };
    let (number, offset, behind) = (record.number, record.offset, record.behind);
    // The output needs the cells, too.
    if rows.table.is_none()
        && let Some(position) = over(number)
    {
        return Ok(Some(Judged::Over(number, position)));
    }
    let mut known = |glance: &Glance<'_>| known(glance, behind);
    let (row, seen) = match record.cells {
        Ok(cells) => {
            let texts: Vec<_> = cells.iter().map(String::from_utf8_lossy).collect();
            let row = rows.row(texts.iter().map(|text| &**text));
            let seen = cells.text().and_then(|texts| {
                let made = rows.of_cells(header, &texts)?;
                line::of_row(number, made, rows.path(), row.clone(), &mut known)
            });
            (row, seen)
        }
        Err(fault) => {
            let fault = Fault::new(0, csv_reason(fault));
            (rows.row(std::iter::empty()), Err(fault))
        }
    };
    Ok(Some(match judged((number, offset), &[], seen, true) {
        Judged::Bad(bad) => Judged::Bad(BadLine { row, ..bad }),
        other => other,
    }))
}

fn located(line: u64, offset: u64, bytes: &[u8], fault: Fault) -> BadLine {
    let Fault {
        at,
        custom_id,
        reason,
    } = fault;
    let column = column(bytes, at);
    BadLine {
        line,
        column,
        offset: offset + at as u64,
        custom_id,
        reason,
        row: None,
    }
}

/// The character, counted from 1, at a byte of a line whose beginning is valid text.
fn column(bytes: &[u8], at: usize) -> u64 {
    let before = &bytes[..at.min(bytes.len())];
    let begins = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
    1 + before.iter().filter(begins).count() as u64
}
