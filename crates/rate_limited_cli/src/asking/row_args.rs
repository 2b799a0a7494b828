//! The options for inputs whose lines are rows, not requests.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help, which is no Markdown"
)]

use clap::{Args, ValueEnum};

use crate::values::text::quoted;

/// How rows become requests.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rows")]
pub(crate) struct RowArgs {
    /// What to ask for each row, with {{column}} where a value goes; @FILE reads it from a file
    ///
    /// The input then has rows, not requests: a CSV file with a header, or JSONL with an object a line. What
    /// is sent has the shape of the path: a chat, a message, contents, a text to embed. {{"{{"}} is two braces.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) prompt: Option<String>,
    /// The system prompt of each request, with {{column}} like --prompt; @FILE reads it from a file
    #[arg(long, value_name = "TEXT|@FILE", requires = "prompt")]
    pub(crate) system: Option<String>,
    /// The longest answer, in tokens, put into each request
    ///
    /// Default: none is put in, but where the API demands one: then that of --max-tokens-default.
    #[arg(long, value_name = "N", requires = "prompt", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_tokens: Option<u64>,
    /// Further fields of each request, as a JSON object, such as {"temperature": 0}; @FILE reads it from a file
    #[arg(long, value_name = "JSON|@FILE", requires = "prompt")]
    pub(crate) body: Option<String>,
    /// The column with the name of each row [default: custom_id or id, if there is one]
    ///
    /// An edited row is found by its name. Without one it is known by what it asks.
    #[arg(
        long,
        value_name = "COLUMN",
        requires = "prompt",
        conflicts_with = "no_id"
    )]
    pub(crate) id: Option<String>,
    /// No column has the names of rows
    #[arg(long, requires = "prompt")]
    pub(crate) no_id: bool,
    /// What the input is [default: by its ending: .csv, .tsv, .tab, else jsonl]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) input_format: Option<InputFormat>,
    /// What stands between the cells of a CSV input and output [default: a comma; for .tsv and .tab a tab]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// One JSON object a line.
    Jsonl,
    /// A table with commas.
    Csv,
    /// A table with tabs.
    Tsv,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text == "\\t" || text == "tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
        _ => Err(format!(
            "{} cannot stand between cells: give one ASCII character such as ';' or '|', or tab",
            quoted(text)
        )),
    }
}
