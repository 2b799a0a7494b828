//! Lines of bytes with their number and place, each of bounded size.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use crate::writing::prefix::Mark;

/// The memory that stays reserved between lines; more is given back after a long line.
const KEPT_BYTES: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One line, blank ones included.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawLine<'a> {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Where the line starts in the source, in bytes; after a byte order mark.
    pub(crate) offset: u64,
    /// The line without its end; `None` if it is longer than the cap.
    pub(crate) bytes: Option<&'a [u8]>,
    /// Where the source stands behind it.
    pub(crate) behind: Behind,
    /// Whether `\r\n` ends it.
    pub(crate) is_crlf: bool,
}

/// Where a source stands behind a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// The lines before it, blank ones included.
    pub(crate) lines: u64,
    /// The bytes before it.
    pub(crate) bytes: u64,
}

/// Splits a source into lines: `\n` or `\r\n` ends one, the last may lack it.
#[derive(Debug)]
pub(crate) struct RawLines<R> {
    source: R,
    bytes_max: usize,
    number: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> RawLines<R> {
    /// Lines of at most `bytes_max` bytes each.
    pub(crate) fn new(source: R, bytes_max: usize) -> RawLines<R> {
        RawLines {
            source,
            bytes_max,
            number: 0,
            offset: 0,
            buffer: Vec::new(),
        }
    }

    /// Goes on counting behind lines that somebody else has read.
    pub(crate) fn behind_read(self, read: Behind) -> RawLines<R> {
        RawLines {
            number: read.lines,
            offset: read.bytes,
            ..self
        }
    }

    /// Where the source stands.
    pub(crate) fn behind(&self) -> Behind {
        Behind {
            lines: self.number,
            bytes: self.offset,
        }
    }

    /// The bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The lines begun so far.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES);
        // Room for a line of the largest size and its end; what does not fit is skipped unread, so
        // that a line of any length costs no more memory than this.
        let room = self.bytes_max.saturating_add(BYTE_ORDER_MARK.len() + 2) as u64;
        let mut read = self
            .source
            .by_ref()
            .take(room)
            .read_until(b'\n', &mut self.buffer)? as u64;
        if read == 0 {
            return Ok(None);
        }
        if read == room && !self.buffer.ends_with(b"\n") {
            read += self.source.skip_until(b'\n')? as u64;
        }
        let start = self.offset;
        self.offset += read;
        self.number += 1;
        let mark = if start == 0 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            3
        } else {
            0
        };
        let bytes = without_end(&self.buffer[mark..]);
        let bytes = (bytes.len() <= self.bytes_max).then_some(bytes);
        Ok(Some(RawLine {
            number: self.number,
            offset: start + mark as u64,
            behind: Behind {
                lines: self.number,
                bytes: self.offset,
            },
            bytes,
            is_crlf: self.buffer.ends_with(b"\r\n"),
        }))
    }
}

impl<R: BufRead + Seek> RawLines<R> {
    /// The same lines from `mark` on.
    pub(crate) fn seek(mut self, mark: Mark) -> io::Result<RawLines<R>> {
        self.source.seek(SeekFrom::Start(mark.bytes))?;
        (self.number, self.offset) = (mark.lines, mark.bytes);
        Ok(self)
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::RawLines;

    fn lines(text: &[u8], bytes_max: usize) -> Vec<(u64, u64, Option<String>)> {
        let mut lines = RawLines::new(text, bytes_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().expect("a slice can be read") {
            let bytes = line
                .bytes
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            all.push((line.number, line.offset, bytes));
        }
        assert_eq!(lines.offset(), text.len() as u64);
        all
    }

    #[test]
    fn every_kind_of_end_is_an_end() {
        let some = |text: &str| Some(text.to_owned());
        let expected = vec![
            (1, 3, some("a")),
            (2, 6, some("")),
            (3, 7, some("b\rc")),
            (4, 11, some("d")),
        ];
        assert_eq!(lines(b"\xEF\xBB\xBFa\r\n\nb\rc\nd", 10), expected);
        assert_eq!(lines(b"", 10), []);
        assert_eq!(lines(b"\xEF\xBB\xBF", 10), [(1, 3, some(""))]);
    }

    #[test]
    fn a_line_of_any_length_is_passed_over() {
        for extra in 0..12 {
            let text = format!("{}\r\nnext", "x".repeat(8 + extra));
            let found = lines(text.as_bytes(), 8);
            assert_eq!(found[0].2.is_some(), extra == 0, "{extra}");
            assert_eq!(
                found[1],
                (2, 10 + extra as u64, Some("next".to_owned())),
                "{extra}"
            );
        }
    }
}
