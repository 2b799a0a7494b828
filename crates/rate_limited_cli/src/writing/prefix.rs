//! How much of an output that is there can stay.
//!
//! What stays is an unbroken beginning: each line is the one that would be written there, compared byte for
//! byte with the result in the journal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use rate_limited_store::{Digest, Found, Journal, JournalError, Over, Walk};

use crate::recording::identity::key_of;
use crate::writing::record::kept_part;
use crate::writing::row::{self, Row, Table};

/// No line of an output is longer, in bytes: an answer of 64 MiB whose every byte is escaped.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// The results of which one at least must be in the journal, if an output has so many.
const ASKED: u64 = 16;

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
    line: Vec<u8>,
    covered: Covered,
    /// Whether one of its results was found in the journal.
    is_proven: bool,
    is_broken: bool,
    is_table: bool,
}

impl Prefix {
    pub(crate) fn new(output: File) -> Prefix {
        Prefix {
            source: BufReader::with_capacity(1 << 17, output),
            line: Vec::new(),
            covered: Covered::default(),
            is_proven: false,
            is_broken: false,
            is_table: false,
        }
    }

    /// Reads the header of a table: another one than this cannot stay, nor what is behind it.
    pub(crate) fn of_table(mut self, table: Option<&Table>) -> Prefix {
        let Some(table) = table else { return self };
        self.is_table = true;
        if self.read() {
            self.is_broken = self.line != table.header;
        }
        if !self.is_broken {
            self.covered.bytes = self.line.len() as u64;
        }
        self
    }

    /// Compares the next line with the result of a call that is over; `mark` is where the input stands
    /// behind it. Whether the line can stay.
    pub(crate) fn result(
        &mut self,
        of: &Of<'_>,
        over: &Over,
        journal: &Journal,
        mark: Mark,
    ) -> bool {
        if self.read() {
            let part = match of.row {
                Some(row) => row.part_of(&self.line),
                None => Some(kept_part(&self.line, of.line, of.is_named)),
            };
            self.is_broken = !part.is_some_and(|part| is_result(journal, over.number, part));
            self.is_proven |= !self.is_broken;
            self.cover(mark);
        }
        !self.is_broken
    }

    /// Compares the next line with one that is made anew. Whether it can stay.
    pub(crate) fn exact(&mut self, line: &[u8], mark: Mark) -> bool {
        if self.read() {
            self.is_broken = self.line != line;
            self.cover(mark);
        }
        !self.is_broken
    }

    /// What stands at this place of the input has no line that could stay.
    pub(crate) fn breaks(&mut self) {
        self.is_broken = true;
    }

    /// How much can stay.
    pub(crate) fn covered(&self) -> Covered {
        self.covered
    }

    /// Whether one of its results was found in the journal.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Reads the next line, if there is a whole one and those before could stay.
    fn read(&mut self) -> bool {
        if self.is_broken {
            return false;
        }
        self.line.clear();
        let read = read_line(&mut self.source, &mut self.line, self.is_table);
        // What cannot be read cannot stay; whether it can be written again is seen when it is opened.
        self.is_broken = read.is_err() || !self.line.ends_with(b"\n");
        !self.is_broken
    }

    fn cover(&mut self, input: Mark) {
        if !self.is_broken {
            self.covered.lines += 1;
            self.covered.bytes += self.line.len() as u64;
            self.covered.input = input;
        }
    }
}

/// Whose line of the output is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    /// The line of the input.
    pub(crate) line: u64,
    /// Whether it has a name of its own.
    pub(crate) is_named: bool,
    /// The cells of a row, where the output is a table.
    pub(crate) row: Option<&'a Row>,
}

/// Reads a line; of a table up to a line break that is outside quotes.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>, is_table: bool) -> io::Result<usize> {
    let mut source = source.take(LINE_BYTES_MAX);
    let mut read = source.read_until(b'\n', line)?;
    let mut is_open = is_table && !row::is_whole(line);
    while is_open {
        let before = line.len();
        match source.read_until(b'\n', line)? {
            0 => {
                // What is open at its end is no whole line.
                line.truncate(line.trim_ascii_end().len());
                break;
            }
            more => {
                read += more;
                is_open ^= !row::is_whole(&line[before..]);
            }
        }
    }
    Ok(read)
}

/// Whether the journal has this as a result.
pub(crate) fn is_result(journal: &Journal, number: u64, part: &[u8]) -> bool {
    // A damaged result is found again when it is to be written.
    journal.is_result(number, part).unwrap_or(false)
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
    /// The line of the input that it was made for; 0 where it does not tell.
    pub(crate) line: u64,
    /// What the journal would have of it.
    pub(crate) part: Vec<u8>,
}

impl Origin {
    /// Whether the output may be cut, given that one of its results was, or was not, found in the journal.
    /// If the input does not show whose they are, for it was edited, all results of the journal are asked.
    pub(crate) fn allows(&self, is_proven: bool, journal: &Journal) -> bool {
        match self {
            Origin::Here => true,
            Origin::Elsewhere => false,
            Origin::Unnamed(witnesses) => {
                let parts: Vec<&[u8]> = witnesses.iter().map(|it| &*it.part).collect();
                is_proven || journal.has_result(&parts).unwrap_or(false)
            }
        }
    }
}

/// Asks the journal for the first results of an output.
///
/// # Errors
/// The output or the journal cannot be read.
pub(crate) fn origin(
    output: &Path,
    journal: &Journal,
    table: Option<&Table>,
) -> Result<Origin, OriginError> {
    let file = File::open(output)?;
    if let Some(table) = table {
        return Ok(origin_of_table(file, table)?);
    }
    let mut source = BufReader::with_capacity(1 << 17, file).take(u64::MAX);
    let mut walk = Walk::new(journal)?;
    let mut witnesses = Vec::new();
    let (mut line, mut tried) = (Vec::new(), 0);
    while tried < ASKED {
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

/// The first results of a table: they have no names by which the journal could be asked.
fn origin_of_table(output: File, table: &Table) -> io::Result<Origin> {
    let mut source = BufReader::with_capacity(1 << 17, output);
    let mut witnesses = Vec::new();
    let mut line = Vec::new();
    let ending = row::added_header(table.delimiter);
    if read_line(&mut source, &mut line, true)? == 0 {
        return Ok(Origin::Here);
    }
    if !line.ends_with(&ending) {
        // A kill in the middle of the first write leaves a part of the header.
        let is_half = table.header.starts_with(&line);
        return Ok(if is_half {
            Origin::Here
        } else {
            Origin::Elsewhere
        });
    }
    while (witnesses.len() as u64) < ASKED {
        line.clear();
        let is_end = read_line(&mut source, &mut line, true)? == 0;
        if is_end || !line.ends_with(b"\n") {
            break;
        }
        match row::added(&line, table.delimiter) {
            Some((part, b"")) => witnesses.push(Witness {
                line: 0,
                part: part.to_vec(),
            }),
            Some(_) => {}
            None => return Ok(Origin::Elsewhere),
        }
    }
    Ok(if witnesses.is_empty() {
        Origin::Here
    } else {
        Origin::Unnamed(witnesses)
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
