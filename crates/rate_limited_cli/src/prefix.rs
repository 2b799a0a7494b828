//! How much of an output that is there can stay.
//!
//! What stays is an unbroken beginning: each line belongs to the present input at its place, and its call is
//! over. The lines are compared as far as their heads and ends go; of results, which may be gigabytes, a
//! sample is compared whole with those of the journal: the first ones, every thousandth, and the last.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use rate_limited_store::{Digest, Found, Journal, JournalError, Over, State, Walk};

use crate::identity::key_of;
use crate::record::kept_part;

/// No line of an output is longer, in bytes: an answer of 64 MiB whose every byte is escaped.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// The results at the beginning that are compared whole.
const FIRST_COMPARED: u64 = 16;

/// Of the others, each of this number is compared whole.
const EACH_COMPARED: u64 = 1_024;

/// How each line begins.
const HEAD: &[u8] = b"{\"id\":\"request-";

/// How a line that is a success ends.
const SUCCESS: &[u8] = b"\"error\":null}";

/// A beginning of the output, and how much of the input it covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    /// The lines of the output.
    pub(crate) lines: u64,
    /// The bytes of the output.
    pub(crate) bytes: u64,
    pub(crate) input: Mark,
}

/// A place in an input, behind a line of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The lines before it, blank ones included.
    pub(crate) lines: u64,
    /// The bytes before it.
    pub(crate) bytes: u64,
    /// The requests before it.
    pub(crate) requests: u64,
    /// The bad lines before it.
    pub(crate) bad: u64,
}

/// An output, compared line by line with what belongs there.
#[derive(Debug)]
pub(crate) struct Prefix {
    source: BufReader<File>,
    next: Vec<u8>,
    /// The last line with a result, without its head, if it was not compared yet; and its result.
    last: Option<(Vec<u8>, u64)>,
    covered: Covered,
    /// What is covered up to the last result that was compared.
    sound: Covered,
    is_proven: bool,
    is_broken: bool,
}

impl Prefix {
    pub(crate) fn new(output: File) -> Prefix {
        Prefix {
            source: BufReader::with_capacity(1 << 17, output),
            next: Vec::new(),
            last: None,
            covered: Covered::default(),
            sound: Covered::default(),
            is_proven: false,
            is_broken: false,
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether all lines so far can stay for sure.
    pub(crate) fn is_sure(&self) -> bool {
        self.covered == self.sound && !self.is_broken
    }

    /// Compares the next line with the call that is over; `mark` is where the input stands behind it.
    pub(crate) fn result(
        &mut self,
        (number, custom_id): (u64, Option<&str>),
        over: &Over,
        journal: &Journal,
        mark: Mark,
    ) {
        if !self.read() {
            return;
        }
        let line = self.next.strip_suffix(b"\n").unwrap_or_default();
        let part = kept_part(line, number, custom_id.is_some());
        let begins = match custom_id {
            // A name that needs an escape is compared as it is written.
            Some(id) => {
                let name = serde_json::to_string(id).unwrap_or_default();
                let named = part.strip_prefix(b"\"custom_id\":");
                named.and_then(|part| part.strip_prefix(name.as_bytes()))
            }
            None => Some(part).filter(|part| part.len() < line.len()),
        };
        let begins = begins.is_some_and(|rest| {
            let rest = rest.strip_prefix(b",").unwrap_or(rest);
            rest.starts_with(b"\"response\":")
        });
        let is_success = over.state == State::Done;
        if !begins || part.ends_with(SUCCESS) != is_success {
            self.is_broken = true;
            return;
        }
        let lines = self.covered.lines;
        let compared = !is_success || lines < FIRST_COMPARED || lines.is_multiple_of(EACH_COMPARED);
        if compared && !is_result(journal, over.number, part) {
            self.is_broken = true;
            return;
        }
        let (start, end) = (line.len() - part.len(), line.len());
        self.cover(mark);
        if compared {
            self.prove();
        } else {
            let (mut last, _) = self.last.take().unwrap_or_default();
            std::mem::swap(&mut last, &mut self.next);
            last.truncate(end);
            last.drain(..start);
            self.last = Some((last, over.number));
        }
    }

    /// Compares the next line with one that is made anew.
    pub(crate) fn exact(&mut self, line: &[u8], mark: Mark) {
        if self.read() {
            self.is_broken = self.next != line;
            if !self.is_broken {
                self.cover(mark);
            }
        }
    }

    /// What stands at this place of the input has no line that could stay.
    pub(crate) fn breaks(&mut self) {
        self.is_broken = true;
    }

    /// How much can stay. Whether a whole result proved that the output belongs to the journal.
    pub(crate) fn end(mut self, journal: &Journal) -> (Covered, bool) {
        match self.last.take() {
            Some((part, number)) if is_result(journal, number, &part) => self.prove(),
            Some(_) => self.covered = self.sound,
            None => {}
        }
        (self.covered, self.is_proven)
    }

    /// Reads the next line, if there is a whole one and those before could stay.
    fn read(&mut self) -> bool {
        if self.is_broken {
            return false;
        }
        self.next.clear();
        let read = (&mut self.source)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut self.next);
        // What cannot be read cannot stay; whether it can be written again is seen when it is opened.
        self.is_broken = read.is_err() || !self.next.ends_with(b"\n");
        !self.is_broken
    }

    fn cover(&mut self, input: Mark) {
        self.covered.lines += 1;
        self.covered.bytes += self.next.len() as u64;
        self.covered.input = input;
    }

    fn prove(&mut self) {
        self.last = None;
        self.sound = self.covered;
        self.is_proven = true;
    }
}

/// Whether the journal has this as a result.
pub(crate) fn is_result(journal: &Journal, number: u64, part: &[u8]) -> bool {
    // A damaged result is found again when it is to be written.
    let ended = journal.read(number);
    ended.is_ok_and(|ended| ended.body.as_deref() == Some(part))
}

/// Whose results an output has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It has none, or the journal has them too: nothing is lost if it is cut.
    Here,
    /// They are not in the journal.
    Elsewhere,
    /// Its results have no names by which the journal could be asked: the input shows whose they are.
    Unnamed(Vec<Witness>),
}

/// A result of an output that has no name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Witness {
    /// The line of the input that it was made for.
    pub(crate) line: u64,
    /// What the journal would have of it.
    pub(crate) part: Vec<u8>,
}

impl Origin {
    /// Whether the output may be cut, given that one of its results was, or was not, found in the journal.
    pub(crate) fn allows(&self, is_proven: bool) -> bool {
        match self {
            Origin::Here => true,
            Origin::Elsewhere => false,
            Origin::Unnamed(_) => is_proven,
        }
    }
}

/// Asks the journal for the first results of an output.
///
/// # Errors
/// The output or the journal cannot be read.
pub(crate) fn origin(output: &Path, journal: &Journal) -> Result<Origin, OriginError> {
    let file = File::open(output)?;
    let mut source = BufReader::with_capacity(1 << 17, file).take(u64::MAX);
    let mut walk = Walk::new(journal)?;
    let mut witnesses = Vec::new();
    let (mut line, mut tried) = (Vec::new(), 0);
    while tried < FIRST_COMPARED {
        line.clear();
        source.set_limit(LINE_BYTES_MAX);
        if source.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Some(whole) = line.strip_suffix(b"\n") else {
            // A kill in the middle of a write leaves half a line.
            let is_half = HEAD.starts_with(&line) || line.starts_with(HEAD);
            if is_half {
                break;
            }
            return Ok(Origin::Elsewhere);
        };
        let Some(line) = Line::of(whole) else {
            // Not a line of this program.
            return Ok(Origin::Elsewhere);
        };
        if !line.is_success {
            continue;
        }
        tried += 1;
        let Some(id) = line.custom_id else {
            let part = kept_part(whole, line.number, false).to_vec();
            let line = line.number;
            witnesses.push(Witness { line, part });
            continue;
        };
        if let Found::Over(over) = walk.look(key_of(&id), Digest::default())?
            && is_result(journal, over.number, line.part)
        {
            return Ok(Origin::Here);
        }
    }
    Ok(match (tried, witnesses.is_empty()) {
        (0, _) => Origin::Here,
        (_, true) => Origin::Elsewhere,
        (_, false) => Origin::Unnamed(witnesses),
    })
}

/// Why the origin of an output is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginError {
    #[error(transparent)]
    Output(#[from] io::Error),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A line of an output.
struct Line<'a> {
    number: u64,
    /// Its own name.
    custom_id: Option<String>,
    /// All behind the number.
    part: &'a [u8],
    is_success: bool,
}

impl<'a> Line<'a> {
    /// `None`: no record begins like this.
    fn of(line: &'a [u8]) -> Option<Line<'a>> {
        let rest = line.strip_prefix(HEAD)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&rest[..digits]).ok()?;
        let part = rest[digits..].strip_prefix(b"\",")?;
        let name = part.strip_prefix(b"\"custom_id\":")?;
        let mut names = serde_json::Deserializer::from_slice(name).into_iter::<String>();
        let name = names.next()?.ok()?;
        Some(Line {
            number: number.parse().ok()?,
            custom_id: Some(name).filter(|name| name.strip_prefix("line-") != Some(number)),
            part,
            is_success: part.ends_with(SUCCESS),
        })
    }
}
