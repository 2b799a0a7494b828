//! Inputs whose lines are rows: a prompt turns each of them into a request.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::args::RunArgs;
use crate::asking::maker::Maker;
use crate::asking::row_args::InputFormat;
use crate::asking::template::{Template, text_of};
use crate::calling::preset::Preset;
use crate::reading::bad_line::{BadReason, Fault};
use crate::reading::table_header::{Header, listed};
use crate::refusal::{Refusal, refused};
use crate::values::text::quoted;
use crate::writing::output::OutputTarget;
use crate::writing::row::{ADDED, Row, Table};

/// What the lines of an input are.
#[derive(Clone, Debug, Default)]
pub(crate) enum Form {
    /// Requests.
    #[default]
    Requests,
    /// Rows, of which requests are made.
    Rows(Arc<Rows>),
}

impl Form {
    /// What the command line makes of the lines. Of a table its header is read.
    ///
    /// # Errors
    /// A table without a prompt, or without a header; a prompt that no request can be made of, or that names
    /// a column that the table does not have.
    pub(crate) fn of(
        args: &RunArgs,
        preset: Option<Preset>,
        output: &OutputTarget,
    ) -> Result<Form, Refusal> {
        let delimiter = input_delimiter(args);
        let told = &args.rows;
        if delimiter.is_none() && told.delimiter.is_some() {
            return Err(refused(
                "--delimiter is for tables: pass --input-format csv, or leave it out",
            ));
        }
        let header = delimiter.map(|delimiter| Header::read(&args.input, delimiter));
        let header = header.transpose()?;
        let Some(prompt) = &told.prompt else {
            return match header {
                Some(header) => Err(refused(format!(
                    "the input {} has rows, not requests: say what to ask for each with --prompt, such as \
                     --prompt 'Summarise: {{{{{}}}}}'; its columns are {}",
                    args.input.display(),
                    header.columns.names.first().map_or("text", |name| name),
                    header.columns.shown()
                ))),
                None if args.api.model.is_some() && args.api.tier.is_none() => Err(refused(
                    "--model is for --prompt and for --tier: requests name their model themselves",
                )),
                None => Ok(Form::Requests),
            };
        };
        let prompt = template("--prompt", prompt)?;
        let system = told.system.as_deref().map(|it| template("--system", it));
        let system = system.transpose()?;
        let rows = Rows {
            maker: Maker::of(args, preset, system.is_some())?,
            prompt,
            system,
            id: told.id.clone(),
            has_id: !told.no_id,
            table: output_table(args, output, header.as_ref())?,
            header,
        };
        rows.check(&args.input)?;
        Ok(Form::Rows(Arc::new(rows)))
    }

    /// The rows, if lines are rows.
    pub(crate) fn rows(&self) -> Option<&Rows> {
        match self {
            Form::Requests => None,
            Form::Rows(rows) => Some(rows),
        }
    }

    /// The table that the output is, if it is one.
    pub(crate) fn table(&self) -> Option<&Table> {
        self.rows()?.table.as_ref()
    }
}

/// What is the same for all rows.
#[derive(Debug)]
pub(crate) struct Rows {
    prompt: Template,
    system: Option<Template>,
    maker: Maker,
    /// The column of names that was told.
    id: Option<String>,
    /// Whether rows may have names.
    has_id: bool,
    /// The header of a table; without one rows are objects.
    pub(crate) header: Option<Header>,
    /// The table that the output is, if it is one.
    pub(crate) table: Option<Table>,
}

/// A row that became a request.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) custom_id: Option<String>,
    pub(crate) body: String,
}

impl Rows {
    /// The path of all requests.
    pub(crate) fn path(&self) -> &str {
        &self.maker.path
    }

    /// The request of a row of a table.
    ///
    /// # Errors
    /// It has another number of cells than the header, or no name in the column of names.
    pub(crate) fn of_cells(&self, header: &Header, cells: &[&str]) -> Result<Made, Fault> {
        let columns = &header.columns;
        let width = columns.names.len();
        if cells.len() != width {
            let [found, expected] = [cells.len(), width].map(|it| it as u64);
            return Err(Fault::new(0, BadReason::Ragged { found, expected }));
        }
        // Columns that are named were found in the header before.
        let value = |name: &str| {
            let place = columns.place(name).ok();
            let cell = place.and_then(|place| cells.get(place)).copied();
            Ok(Cow::Borrowed(cell.unwrap_or_default()))
        };
        let id = self.id_column(|name| columns.place(name).is_ok());
        let custom_id = match id {
            Some(name) => Some(named(name, value(name)?)?),
            None => None,
        };
        let body = self.body(value);
        body.map(|body| Made { custom_id, body })
    }

    /// The request of an object.
    ///
    /// # Errors
    /// It lacks a field that the prompt names, or its name is none.
    pub(crate) fn of_object(&self, row: &Map<String, Value>) -> Result<Made, Fault> {
        let value = |name: &str| match row.get(name) {
            Some(Value::Null) => Ok(Cow::Borrowed("")),
            Some(Value::String(text)) => Ok(Cow::Borrowed(text.as_str())),
            Some(value) => Ok(Cow::Owned(value.to_string())),
            None => Err(Fault::new(
                0,
                BadReason::NoColumn {
                    column: name.to_owned(),
                    known: listed(row.keys()),
                },
            )),
        };
        let id = self.id_column(|name| row.contains_key(name));
        let custom_id = match id {
            Some(name) => Some(named(name, value(name)?)?),
            None => None,
        };
        let body = self.body(value);
        body.map(|body| Made { custom_id, body })
    }

    /// The cells of a row as the output has them, where it is a table.
    pub(crate) fn row<'a>(&self, cells: impl Iterator<Item = &'a str>) -> Option<Row> {
        self.table.as_ref().map(|table| table.row(cells))
    }

    fn body<'v>(
        &self,
        value: impl Fn(&str) -> Result<Cow<'v, str>, Fault>,
    ) -> Result<String, Fault> {
        let prompt = self.prompt.fill(&value)?;
        let system = self.system.as_ref().map(|system| system.fill(&value));
        let system = system.transpose()?;
        Ok(self.maker.bodies.body(&prompt, system.as_deref()))
    }

    /// The column of names, which has to be there if it was told.
    fn id_column(&self, is_there: impl Fn(&str) -> bool) -> Option<&str> {
        if !self.has_id {
            return None;
        }
        let usual = || ["custom_id", "id"].into_iter().find(|name| is_there(name));
        self.id.as_deref().or_else(usual)
    }

    /// Refuses columns that the table does not have, and prompts that ask the same of all rows.
    fn check(&self, input: &Path) -> Result<(), Refusal> {
        let named = |template: &Template| template.columns().map(str::to_owned).collect::<Vec<_>>();
        let in_system = self.system.as_ref().map(named).unwrap_or_default();
        let in_prompt = named(&self.prompt);
        if in_prompt.is_empty() && in_system.is_empty() {
            return Err(refused(
                "--prompt names no column, so that all rows would ask the same: write {{column}} where its \
                 value goes",
            ));
        }
        let Some(header) = &self.header else {
            return Ok(());
        };
        let told = [("--prompt", in_prompt), ("--system", in_system)];
        let told = told
            .into_iter()
            .chain([("--id", self.id.iter().cloned().collect())]);
        for (option, names) in told {
            for name in names {
                header
                    .columns
                    .place(&name)
                    .map_err(|fault| refused(header.told(input, option, &name, fault)))?;
            }
        }
        Ok(())
    }
}

/// The name that a row gives itself.
fn named(column: &str, name: Cow<'_, str>) -> Result<String, Fault> {
    if name.trim().is_empty() {
        let column = column.to_owned();
        return Err(Fault::new(0, BadReason::NoName { column }));
    }
    Ok(name.into_owned())
}

fn template(option: &str, told: &str) -> Result<Template, Refusal> {
    let text = text_of(option, told).map_err(refused)?;
    Template::parse(&text).map_err(|fault| refused(format!("in {option}, {fault}")))
}

/// What stands between the cells of the input; `None`: it is no table.
fn input_delimiter(args: &RunArgs) -> Option<u8> {
    let usual = match args.rows.input_format {
        Some(InputFormat::Jsonl) => None,
        Some(InputFormat::Csv) => Some(b','),
        Some(InputFormat::Tsv) => Some(b'\t'),
        None => delimiter_of(&args.input),
    };
    usual.map(|usual| args.rows.delimiter.unwrap_or(usual))
}

/// What stands between the cells of a table, by the ending of its name.
fn delimiter_of(path: &Path) -> Option<u8> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "csv" => Some(b','),
        "tsv" | "tab" => Some(b'\t'),
        _ => None,
    }
}

/// The ending of a table's name.
pub(crate) fn ending(args: &RunArgs) -> &'static str {
    match input_delimiter(args) {
        Some(b'\t') => "tsv",
        Some(_) => "csv",
        None => "jsonl",
    }
}

/// The table that the output is; `None`: it has JSON lines.
fn output_table(
    args: &RunArgs,
    output: &OutputTarget,
    header: Option<&Header>,
) -> Result<Option<Table>, Refusal> {
    let by_name = output.path().and_then(delimiter_of);
    let is_lines = output
        .path()
        .and_then(Path::extension)
        .is_some_and(|ending| {
            ["jsonl", "ndjson", "json"]
                .iter()
                .any(|it| ending.eq_ignore_ascii_case(it))
        });
    let Some(header) = header else {
        return match by_name {
            Some(_) => Err(refused(format!(
                "the output {output} would be a table, and the input is none: name it .jsonl, or pass a CSV \
                 input"
            ))),
            None => Ok(None),
        };
    };
    if is_lines {
        return Ok(None);
    }
    let names = &header.columns.names;
    let taken = ADDED
        .iter()
        .find(|added| names.iter().any(|name| name.trim() == **added));
    if let Some(taken) = taken {
        return Err(refused(format!(
            "the input {} has a column {} already, which the output {output} adds: rename it, or write JSON \
             lines with -o NAME.jsonl",
            args.input.display(),
            quoted(taken)
        )));
    }
    let delimiter = match by_name {
        Some(b'\t') => b'\t',
        Some(comma) if header.delimiter == b'\t' => comma,
        _ => header.delimiter,
    };
    Ok(Some(Table::new(names, delimiter)))
}
