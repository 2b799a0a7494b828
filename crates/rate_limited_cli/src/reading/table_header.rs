//! The header of a table: its columns and their places.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::path::Path;

use crate::reading::csv_lines::{Cells, CsvLines, csv_reason};
use crate::reading::input::{self, LINE_BYTES_MAX};
use crate::reading::raw_lines::{Behind, RawLines};
use crate::reading::source::is_stdin;
use crate::refusal::{Refusal, refused};
use crate::values::text::{counted, quoted, shortened};

/// The first record of a table.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) columns: Columns,
    pub(crate) delimiter: u8,
    /// Where standard input stands behind it; a file is read again from its beginning.
    pub(crate) behind: Option<Behind>,
    line: u64,
}

impl Header {
    /// Reads the header of an input.
    ///
    /// # Errors
    /// The input cannot be read, is empty, or its first record is no text.
    pub(crate) fn read(input: &Path, delimiter: u8) -> Result<Header, Refusal> {
        if is_stdin(input) {
            let header = Header::of(io::stdin().lock(), input, delimiter)?;
            return Ok(header);
        }
        let (source, _) = input::open_file(input)?;
        let header = Header::of(source, input, delimiter)?;
        Ok(Header {
            behind: None,
            ..header
        })
    }

    fn of(source: impl BufRead, input: &Path, delimiter: u8) -> Result<Header, Refusal> {
        let mut raw = RawLines::new(source, LINE_BYTES_MAX);
        let mut lines = CsvLines::new(delimiter, LINE_BYTES_MAX);
        let name = input.display();
        let record = lines.next(&mut raw).map_err(Refusal::System)?;
        let record = record.ok_or_else(|| {
            refused(format!(
                "the input {name} is empty: a table begins with the names of its columns"
            ))
        })?;
        let bad = |why: &str| {
            refused(format!(
                "the header of {name} in line {}: {why}",
                record.number
            ))
        };
        let cells = record
            .cells
            .map_err(|fault| bad(&csv_reason(fault).to_string()))?;
        let names = cells.iter().map(|cell| std::str::from_utf8(cell));
        let names: Result<Vec<_>, _> = names.collect();
        let names = names.map_err(|_| bad("it is not valid UTF-8: save the file as UTF-8"))?;
        Ok(Header {
            columns: Columns::new(&names),
            delimiter,
            behind: Some(record.behind),
            line: record.number,
        })
    }

    /// What is said of a column that cannot be used.
    pub(crate) fn told(
        &self,
        input: &Path,
        option: &str,
        name: &str,
        fault: ColumnFault,
    ) -> String {
        let place = format!("the header of {} in line {}", input.display(), self.line);
        match fault {
            ColumnFault::Missing => {
                let other = [b';', b'\t', b'|', b','].into_iter().find(|other| {
                    let [only] = &self.columns.names[..] else {
                        return false;
                    };
                    *other != self.delimiter && only.as_bytes().contains(other)
                });
                let advice = match other {
                    Some(b'\t') => {
                        "its cells seem to be apart by tabs: pass --delimiter tab".to_owned()
                    }
                    Some(other) => format!(
                        "its cells seem to be apart by {0}: pass --delimiter '{0}'",
                        char::from(other)
                    ),
                    None => format!("name one of {}", self.columns.shown()),
                };
                format!(
                    "{option} names {}, which {place} does not have: {advice}",
                    quoted(name)
                )
            }
            ColumnFault::Twice(first, second) => format!(
                "{option} names {}, which {place} has twice, as columns {first} and {second}: rename one",
                quoted(name)
            ),
        }
    }
}

/// The columns of a table.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) names: Vec<String>,
    /// Where each name stands, first and last.
    places: HashMap<String, (usize, usize)>,
}

/// Why there is no such column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnFault {
    Missing,
    /// It stands at two places, counted from 1.
    Twice(usize, usize),
}

impl Columns {
    fn new(names: &[&str]) -> Columns {
        let mut places = HashMap::new();
        for (place, name) in names.iter().enumerate() {
            let known = places
                .entry(name.trim().to_owned())
                .or_insert((place, place));
            known.1 = place;
        }
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Columns { names, places }
    }

    /// Whether these are their names.
    pub(crate) fn are(&self, cells: Cells<'_>) -> bool {
        cells.iter().eq(self.names.iter().map(String::as_bytes))
    }

    /// Where a column stands, from 0.
    ///
    /// # Errors
    /// At no place, or at two.
    pub(crate) fn place(&self, name: &str) -> Result<usize, ColumnFault> {
        match self.places.get(name) {
            Some((first, last)) if first == last => Ok(*first),
            Some((first, last)) => Err(ColumnFault::Twice(first + 1, last + 1)),
            None => Err(ColumnFault::Missing),
        }
    }

    /// Their names, for people.
    pub(crate) fn shown(&self) -> String {
        listed(self.names.iter())
    }
}

/// Names for people, the first ones of many.
pub(crate) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 30;
    let more = names.len().saturating_sub(SHOWN);
    let mut shown: Vec<_> = names.take(SHOWN).map(|name| shortened(name, 80)).collect();
    if more > 0 {
        shown.push(counted(more as u64, "more", "more"));
    }
    if shown.is_empty() {
        return "none".to_owned();
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ColumnFault, Header};

    fn header(text: &str, delimiter: u8) -> Header {
        Header::of(text.as_bytes(), Path::new("in.csv"), delimiter).expect("a header")
    }

    #[test]
    fn columns_have_one_place_or_a_fault() {
        let header = header("\u{feff}\n a ,,b,,a\nx", b',');
        let columns = &header.columns;
        assert_eq!(columns.place("b"), Ok(2));
        assert_eq!(columns.place("a"), Err(ColumnFault::Twice(1, 5)));
        assert_eq!(columns.place("c"), Err(ColumnFault::Missing));
    }

    #[test]
    fn the_wrong_delimiter_is_named() {
        for (text, delimiter, advice) in [
            ("a;b\n", b',', "apart by ;: pass --delimiter ';'"),
            ("a\tb\n", b',', "apart by tabs: pass --delimiter tab"),
            ("a,b\n", b';', "apart by ,: pass --delimiter ','"),
            ("b,c\n", b',', "name one of b, c"),
        ] {
            let header = header(text, delimiter);
            let fault = header.columns.place("a").expect_err("not there");
            let told = header.told(Path::new("in.csv"), "--prompt", "a", fault);
            assert!(told.starts_with("--prompt names 'a', which the header of in.csv in line 1"));
            assert!(told.ends_with(advice), "{told}");
        }
    }
}
