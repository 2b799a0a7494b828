//! A row of a table on its way from the input to the output.

use bytes::Bytes;

/// The columns that a table gets behind those of its input.
pub(crate) const ADDED: [&str; 4] = ["answer", "error", "attempts", "tokens"];

/// The cells of a row of the input, as they are written into the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The text of the row so far, the delimiter behind its last cell included.
    cells: Bytes,
    delimiter: u8,
}

/// What a row gets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Added<'a> {
    pub(crate) answer: &'a str,
    pub(crate) error: &'a str,
    pub(crate) attempts: u32,
    pub(crate) tokens: Option<u64>,
}

impl Row {
    /// A row with exactly `width` cells: more are left out, missing ones are empty.
    pub(crate) fn new<'a>(
        cells: impl Iterator<Item = &'a str>,
        width: usize,
        delimiter: u8,
    ) -> Row {
        let mut text = Vec::new();
        for cell in cells.chain(std::iter::repeat("")).take(width) {
            push(&mut text, cell, delimiter);
            text.push(delimiter);
        }
        Row {
            cells: text.into(),
            delimiter,
        }
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.cells.len()
    }

    /// The line of the output, its end included.
    pub(crate) fn line(&self, added: &Added<'_>) -> Vec<u8> {
        let tokens = added.tokens.map(|tokens| tokens.to_string());
        let added = [
            added.answer,
            added.error,
            &added.attempts.to_string(),
            tokens.as_deref().unwrap_or_default(),
        ];
        self.ended(&joined(&added, self.delimiter))
    }

    /// The line of a row whose part was kept, its end included.
    pub(crate) fn ended(&self, part: &[u8]) -> Vec<u8> {
        [&self.cells, part, b"\n"].concat()
    }

    /// What was added to the row in a line of the output; `None` if the line is that of another row.
    pub(crate) fn part_of<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let part = line.strip_prefix(&*self.cells)?;
        Some(part.strip_suffix(b"\n").unwrap_or(part))
    }
}

/// A table that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) delimiter: u8,
    /// The columns of the input.
    pub(crate) width: usize,
    /// The first line of the output, its end included.
    pub(crate) header: Vec<u8>,
}

impl Table {
    pub(crate) fn new(columns: &[String], delimiter: u8) -> Table {
        let row = Row::new(columns.iter().map(String::as_str), columns.len(), delimiter);
        Table {
            delimiter,
            width: columns.len(),
            header: row.ended(&joined(&ADDED, delimiter)),
        }
    }

    pub(crate) fn row<'a>(&self, cells: impl Iterator<Item = &'a str>) -> Row {
        Row::new(cells, self.width, self.delimiter)
    }
}

/// Whether a text ends where a line of a table may end: outside quotes.
pub(crate) fn is_whole(line: &[u8]) -> bool {
    line.iter()
        .fold(true, |whole, byte| whole ^ (*byte == b'"'))
}

/// How the header of a table ends, its end included.
pub(crate) fn added_header(delimiter: u8) -> Vec<u8> {
    let mut ending = vec![delimiter];
    ending.extend(joined(&ADDED, delimiter));
    ending.push(b'\n');
    ending
}

/// The part of a line of a table that was added to its row, and the cell with the error; `None` if it has too
/// few cells.
pub(crate) fn added(line: &[u8], delimiter: u8) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut quoted = false;
    let delimiters = line.iter().enumerate().filter(|(_, byte)| {
        quoted ^= **byte == b'"';
        **byte == delimiter && !quoted
    });
    let places: Vec<usize> = delimiters.map(|(place, _)| place).collect();
    let [.., first, second, third, _] = places[..] else {
        return None;
    };
    Some((&line[first + 1..], &line[second + 1..third]))
}

fn joined(cells: &[&str], delimiter: u8) -> Vec<u8> {
    let mut text = Vec::new();
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            text.push(delimiter);
        }
        push(&mut text, cell, delimiter);
    }
    text
}

/// Writes a cell: in quotes where it has to be.
fn push(text: &mut Vec<u8>, cell: &str, delimiter: u8) {
    let is_special = |byte: &u8| *byte == delimiter || b"\"\r\n".contains(byte);
    if !cell.as_bytes().iter().any(is_special) {
        text.extend_from_slice(cell.as_bytes());
        return;
    }
    text.push(b'"');
    text.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::{Added, Table, added, is_whole};

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_line_is_a_row_and_what_was_added_to_it() {
        let columns = ["id", "a;b"].map(str::to_owned);
        for (delimiter, header, line) in [
            (
                b',',
                "id,a;b,answer,error,attempts,tokens\n",
                "\"1,2\",\"x\ny\",\"say \"\"yes\"\"\",,2,7\n",
            ),
            (
                b';',
                "id;\"a;b\";answer;error;attempts;tokens\n",
                "1,2;\"x\ny\";\"say \"\"yes\"\"\";;2;7\n",
            ),
        ] {
            let table = Table::new(&columns, delimiter);
            assert_eq!(text(&table.header), header);
            let row = table.row(["1,2", "x\ny"].into_iter());
            let made = row.line(&Added {
                answer: "say \"yes\"",
                error: "",
                attempts: 2,
                tokens: Some(7),
            });
            assert_eq!(text(&made), line);
            let line_break = made.iter().position(|byte| *byte == b'\n').expect("one");
            assert!(is_whole(&made) && !is_whole(&made[..=line_break]));
            let part = row.part_of(&made).expect("its own line");
            assert_eq!(row.ended(part), made);
            assert_eq!(added(&made, delimiter), Some((part, &b""[..])));
            let other = table.row(["1,2"].into_iter());
            assert_eq!(other.part_of(&made), None);
        }
        assert_eq!(added(b"a,b\n", b','), None);
    }
}
