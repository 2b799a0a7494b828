//! A line of the input that is no request: where it is, and what is wrong with it.

use std::fmt;

use crate::reading::shape::DEPTH_MAX;
use crate::values::text::{counted, grouped, quoted};
use crate::writing::row::Row;

/// What happens to the lines of an input that cannot be sent.
///
/// The default is to fail: a bad line is most often a bad file, and nothing has been paid yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum BadLinePolicy {
    /// Send nothing, name the bad lines.
    #[default]
    Fail,
    /// Leave them out of the output.
    Skip,
    /// Write an error with the code `bad_line` in their place.
    Record,
}

/// A line that is no request; `Display` names its place and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line, counted from 1, blank lines included.
    pub line: u64,
    /// The character within the line, counted from 1.
    pub column: u64,
    /// The byte within the input, counted from 0.
    pub offset: u64,
    /// The line's own name, where it could be read.
    pub custom_id: Option<String>,
    /// What is wrong.
    pub reason: BadReason,
    /// The cells of a row, as far as they could be read, where the output is a table.
    pub row: Option<Row>,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadLine {
            line,
            column,
            offset,
            reason,
            ..
        } = self;
        write!(f, "line {line}, column {column} (byte {offset}): {reason}")
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadReason {
    /// More bytes than the cap.
    #[error("the line is longer than {} bytes, the most that is read", grouped(*.0))]
    TooLong(u64),
    /// Bytes that are no text.
    #[error("the byte {0:#04x} is not valid UTF-8: save the file as UTF-8")]
    NotUtf8(u8),
    /// No JSON; in the parser's words.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// Too many brackets inside each other.
    #[error("nested deeper than {DEPTH_MAX} levels, more than common JSON readers accept")]
    TooDeep,
    /// A number that becomes infinite where it is read.
    #[error("the number {} is too large for a 64-bit float", quoted(.0))]
    NumberTooLarge(String),
    /// JSON, but a list, a string, a number, ….
    #[error("a line must be a JSON object, not {0}")]
    NotAnObject(&'static str),
    /// `{}`.
    #[error("the object is empty: write a request body, or a batch line with custom_id and body")]
    Empty,
    /// A name of another type, or no text at all.
    #[error("custom_id must be a JSON string with at least one character, not {}", quoted(.0))]
    CustomId(String),
    /// Two lines with one name.
    #[error(
        "custom_id {} is already that of line {first_line}: give each line its own{}",
        quoted(id), if *is_row { ", name another column with --id, or pass --no-id" } else { "" }
    )]
    DuplicateId {
        /// The name.
        id: String,
        /// The line that has it first.
        first_line: u64,
        /// Whether lines are rows, whose names stand in a column.
        is_row: bool,
    },
    /// Another method than POST and GET.
    #[error("method must be \"POST\" or \"GET\", not {}", quoted(.0))]
    Method(String),
    /// A whole URL, or something that is no path.
    #[error(
        "url must be a path such as \"/v1/chat/completions\", not {}: the host is told apart from \
         the input",
        quoted(.0)
    )]
    Url(String),
    /// A batch line without a request.
    #[error("a batch line needs a body: {{\"custom_id\": …, \"body\": {{…}}}}")]
    NoBody,
    /// A GET that says not where to.
    #[error("a GET needs a url: {{\"custom_id\": …, \"method\": \"GET\", \"url\": \"/…\"}}")]
    NoUrl,
    /// A GET with a body.
    #[error(
        "a GET has no body: leave it out, and put what it asks for into the url, as in \"/works?page=2\""
    )]
    BodyOfGet,
    /// A row of a table with more or fewer cells than the header.
    #[error(
        "the row has {}, and the header {}: put cells with a delimiter or a line break in them into quotes",
        counted(*found, "cell", "cells"), grouped(*expected)
    )]
    Ragged {
        /// The cells of the row.
        found: u64,
        /// Those of the header.
        expected: u64,
    },
    /// A quote of a table that never closes.
    #[error(
        "a quote opens in this row and is never closed: close it, or double it if it is part of the text"
    )]
    OpenQuote,
    /// A row of a table that ends with a carriage return alone.
    #[error(
        "the row ends with a carriage return alone: save the file with line ends of \\n or \\r\\n"
    )]
    CarriageReturn,
    /// A row without a field that the prompt names.
    #[error(
        "the row has no {}, which the prompt or --id names: it has {known}",
        quoted(column)
    )]
    NoColumn {
        /// The field.
        column: String,
        /// What the row has.
        known: String,
    },
    /// A row without a value in the column of names.
    #[error(
        "the column {} of names is empty: give the row a name, or pass --no-id",
        quoted(column)
    )]
    NoName {
        /// The column.
        column: String,
    },
    /// A batch line whose request is no object.
    #[error("body must be a JSON object, not {0}")]
    BodyNotAnObject(&'static str),
}

/// A bad line as the parser of one line sees it: the place is a byte within the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) custom_id: Option<String>,
    pub(crate) reason: BadReason,
}

impl Fault {
    /// A fault of a line whose name is not known (yet).
    pub(crate) fn new(at: usize, reason: BadReason) -> Fault {
        Fault {
            at,
            custom_id: None,
            reason,
        }
    }
}
