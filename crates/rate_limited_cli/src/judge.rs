//! The lines of an input, each judged by itself.

use std::io::{self, BufRead, Seek};

use crate::bad_line::{BadLine, BadReason, Fault};
use crate::input::InputError;
use crate::line::{self, Glance, Parsed, Seen};
use crate::prefix::Mark;
use crate::raw_lines::RawLines;
use crate::request::{Request, record_id};

/// A line that is a request, with what a message about its name needs.
#[derive(Debug)]
pub(crate) struct Good {
    pub(crate) parsed: Parsed,
    id_column: u64,
    id_offset: u64,
}

impl Good {
    /// The bad line that this one is because an earlier one has its name.
    pub(crate) fn duplicate_of(self, first_line: u64) -> BadLine {
        let Request {
            line, custom_id, ..
        } = self.parsed.request;
        let id = record_id(line, custom_id.as_deref()).into_owned();
        let reason = BadReason::DuplicateId { id, first_line };
        BadLine {
            line,
            column: self.id_column,
            offset: self.id_offset,
            custom_id,
            reason,
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
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(source: R, bytes_max: usize) -> Lines<R> {
        Lines {
            raw: RawLines::new(source, bytes_max),
            bytes_max,
            blank: 0,
        }
    }

    /// The next line. Where `over` has a place for the result of its number, it is not judged.
    pub(crate) fn next(
        &mut self,
        over: &mut dyn FnMut(u64) -> Option<u64>,
    ) -> io::Result<Option<Judged>> {
        self.step(over, &mut |_, _| false)
    }

    /// The next line; one that `known` knows at a glance is not judged. It is told where the source stands
    /// behind the line, in bytes.
    pub(crate) fn next_unless(
        &mut self,
        known: &mut dyn FnMut(&Glance<'_>, u64) -> bool,
    ) -> io::Result<Option<Judged>> {
        self.step(&mut |_| None, known)
    }

    fn step(
        &mut self,
        over: &mut dyn FnMut(u64) -> Option<u64>,
        known: &mut dyn FnMut(&Glance<'_>, u64) -> bool,
    ) -> io::Result<Option<Judged>> {
        while let Some(line) = self.raw.next()? {
            if let Some(position) = over(line.number) {
                return Ok(Some(Judged::Over(line.number, position)));
            }
            let Some(bytes) = line.bytes else {
                let fault = Fault::new(0, BadReason::TooLong(self.bytes_max as u64));
                return Ok(Some(Judged::Bad(located(
                    line.number,
                    line.offset,
                    &[],
                    fault,
                ))));
            };
            if line::is_blank(bytes) {
                self.blank += 1;
                continue;
            }
            let mut known = |glance: &Glance<'_>| known(glance, line.end);
            return Ok(Some(judged(line.number, line.offset, bytes, &mut known)));
        }
        Ok(None)
    }

    /// All lines so far, blank ones included.
    pub(crate) fn count(&self) -> u64 {
        self.raw.number()
    }

    pub(crate) fn blank(&self) -> u64 {
        self.blank
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.raw.offset()
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
    number: u64,
    offset: u64,
    bytes: &[u8],
    known: &mut dyn FnMut(&Glance<'_>) -> bool,
) -> Judged {
    match line::parse(number, bytes, known) {
        Ok(Seen::Known(custom_id)) => Judged::Known(number, custom_id),
        Ok(Seen::Parsed(parsed)) => {
            let id_column = column(bytes, parsed.id_at);
            let id_offset = offset + parsed.id_at as u64;
            Judged::Good(Good {
                parsed: *parsed,
                id_column,
                id_offset,
            })
        }
        Err(fault) => Judged::Bad(located(number, offset, bytes, fault)),
    }
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
    }
}

/// The character, counted from 1, at a byte of a line whose beginning is valid text.
fn column(bytes: &[u8], at: usize) -> u64 {
    let before = &bytes[..at.min(bytes.len())];
    let begins = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
    1 + before.iter().filter(begins).count() as u64
}
