//! What errors of an output say, for a report that asks for it.
//!
//! An output is lines of JSON or a table, whatever its input was; which of them, its beginning tells.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use rate_limited_report::Example;
use serde::Deserialize;

use crate::reading::csv_lines::CsvLines;
use crate::reading::raw_lines::RawLines;
use crate::values::text::shortened;
use crate::writing::row::{ADDED, added_header, is_whole};

/// Errors that are shown of each code, and in all.
const OF_CODE: u32 = 3;
const MOST: usize = 20;

/// The most characters of an error, and of a name or a code, that are shown.
const TEXT_CHARS_MAX: usize = 300;
const NAME_CHARS_MAX: usize = 80;

/// Lines of an output that are longer have no error.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The columns that have the names of rows, the first that is there.
const NAMES: [&str; 2] = ["custom_id", "id"];

/// What the errors of an output say: some of each code.
///
/// # Errors
/// It cannot be read.
pub(crate) fn of(output: &Path) -> io::Result<Vec<Example>> {
    let mut file = BufReader::new(File::open(output)?);
    let delimiter = delimiter(&mut file)?;
    file.rewind()?;
    match delimiter {
        Some(delimiter) => of_table(file, delimiter),
        None => of_lines(file),
    }
}

/// Examples so far.
#[derive(Debug, Default)]
struct Examples {
    found: Vec<Example>,
    codes: BTreeMap<String, u32>,
}

impl Examples {
    fn add(&mut self, call: &str, code: &str, text: &str) {
        let seen = self.codes.entry(code.to_owned()).or_default();
        *seen += 1;
        if *seen <= OF_CODE {
            self.found.push(Example {
                call: shortened(call, NAME_CHARS_MAX),
                code: shortened(code, NAME_CHARS_MAX),
                text: shortened(text, TEXT_CHARS_MAX),
            });
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }
}

/// What stands between the cells of a table that was written by a run; `None` if it is none.
fn delimiter(file: &mut impl BufRead) -> io::Result<Option<u8>> {
    let mut header = Vec::new();
    let mut file = file.take(LINE_BYTES_MAX as u64);
    while header.is_empty() || !is_whole(&header) {
        if file.read_until(b'\n', &mut header)? == 0 {
            return Ok(None);
        }
    }
    let before = header
        .strip_suffix(b"\n")
        .and_then(|header| header.strip_suffix(ADDED[ADDED.len() - 1].as_bytes()));
    let delimiter = before.and_then(|before| before.last().copied());
    Ok(delimiter.filter(|it| header.ends_with(&added_header(*it))))
}

fn of_table(file: impl BufRead, delimiter: u8) -> io::Result<Vec<Example>> {
    let mut lines = RawLines::new(file, LINE_BYTES_MAX);
    let mut records = CsvLines::new(delimiter, LINE_BYTES_MAX);
    let mut examples = Examples::default();
    let (mut row, mut place) = (0_u64, None);
    while !examples.is_full() {
        let Some(record) = records.next(&mut lines)? else {
            break;
        };
        row += 1;
        // A row that is too long has no error that is worth it.
        let Ok(cells) = record.cells else { continue };
        let cells: Vec<_> = cells.iter().map(String::from_utf8_lossy).collect();
        if row == 1 {
            place = NAMES
                .iter()
                .find_map(|name| cells.iter().position(|cell| cell == name));
            continue;
        }
        let error = cells.len().checked_sub(ADDED.len() - 1);
        let error = error.and_then(|place| cells[place].split_once(": "));
        let Some((code, text)) = error else { continue };
        let name = place.and_then(|place| cells.get(place));
        let name = name.filter(|name| !name.is_empty()).cloned();
        let name = name.unwrap_or_else(|| Cow::Owned(format!("row {}", row - 1)));
        examples.add(&name, code, text);
    }
    Ok(examples.found)
}

/// A line of an output, as far as it tells of an error.
#[derive(Deserialize)]
struct Line {
    custom_id: String,
    error: Option<Told>,
}

#[derive(Deserialize)]
struct Told {
    code: String,
    message: String,
}

fn of_lines(mut lines: impl BufRead) -> io::Result<Vec<Example>> {
    let (mut line, mut examples) = (Vec::new(), Examples::default());
    while !examples.is_full() {
        line.clear();
        let mut part = lines.by_ref().take(LINE_BYTES_MAX as u64);
        if part.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if let Ok(Line {
            custom_id,
            error: Some(Told { code, message }),
        }) = serde_json::from_slice(&line)
        {
            examples.add(&custom_id, &code, &message);
        }
    }
    Ok(examples.found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{MOST, of};

    fn found(output: &str) -> Vec<(String, String, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        fs::write(&path, output).expect("room");
        let examples = of(&path).expect("a file").into_iter();
        let parts = examples.map(|it| (it.call, it.code, it.text));
        parts.collect()
    }

    fn one(call: &str, code: &str, text: &str) -> Vec<(String, String, String)> {
        vec![(call.to_owned(), code.to_owned(), text.to_owned())]
    }

    #[test]
    fn errors_of_tables_and_of_lines() {
        for (output, expected) in [
            ("", vec![]),
            ("a,b\n1,2\n", vec![]),
            ("x,answer,error,attempts,tokens\n1,yes,,1,7\n", vec![]),
            (
                "id,x,answer,error,attempts,tokens\nr1,\"a\nb\",\"no\nno\",\"invalid: \"\"a\"\", is: not\",3,\n",
                one("r1", "invalid", "\"a\", is: not"),
            ),
            (
                "\"a\nb\";answer;error;attempts;tokens\n1;y;;1;\n2;;code: text;1;\n",
                one("row 2", "code", "text"),
            ),
            (
                "id\tcustom_id\tanswer\terror\tattempts\ttokens\n1\tc\t\tcode: text\t1\t\n",
                one("c", "code", "text"),
            ),
            ("error\nanswer,error,attempts,tokens\n", vec![]),
            (
                "{\"custom_id\":\"a\",\"error\":null}\n{\"custom_id\":\"b\",\"error\":{\"code\":\"c\",\"message\":\"m\"}}\n{",
                one("b", "c", "m"),
            ),
        ] {
            assert_eq!(found(output), expected, "{output}");
        }
    }

    #[test]
    fn some_of_each_code_and_not_too_many() {
        let row = |row: u32| format!("r{row},,code-{}: text,1,\n", row % 10);
        let rows: String = (0..100).map(row).collect();
        let output = format!("id,answer,error,attempts,tokens\n{rows}");
        let found = found(&output);
        assert_eq!(found.len(), MOST);
        let of_first = found.iter().filter(|(_, code, _)| code == "code-0");
        assert_eq!(of_first.count(), 2);
        let long = format!(
            "id,answer,error,attempts,tokens\nr,{},,1,\ns,,code: text,1,\n",
            "x".repeat(3 << 20)
        );
        assert_eq!(self::found(&long), one("s", "code", "text"));
    }
}
