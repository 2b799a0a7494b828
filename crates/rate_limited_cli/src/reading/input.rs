//! Reading requests line by line from a file or a stream.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::asking::rows::Form;
use crate::calling::judge::{Good, Judged, Lines};
use crate::reading::bad_line::{BadLine, BadReason};
use crate::reading::request::Request;
use crate::reading::scan::Scan;
use crate::reading::seen::Seen;
use crate::reading::stamp::Stamp;
use crate::recording::plan::{Fate, Follower};
use crate::values::text::grouped;
use crate::writing::prefix::Mark;

/// The longest line that is read, in bytes: 64 MiB. A longer one is a bad line.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// What one line of the input is; blank lines are nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A request.
    Request(Request),
    /// A line that is none.
    Bad(BadLine),
    /// A request whose call was over before the run; it was not read.
    Over {
        /// The line, counted from 1.
        line: u64,
        /// Where its result is in the journal.
        position: u64,
    },
}

/// Why an input cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The file cannot be opened.
    #[error("failed to open the input {}: {source}; {}", path.display(), open_advice(source))]
    Open {
        /// The input.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder.
    #[error("the input {} is a folder: name a file in it", .0.display())]
    IsAFolder(PathBuf),
    /// A pipe, a device: it cannot be read twice.
    #[error(
        "the input {} is not a regular file, and it is read twice: pass - and send it to standard \
         input instead",
        .0.display()
    )]
    NotAFile(PathBuf),
    /// A packed file.
    #[error(
        "the input {} is compressed with {packer}: unpack it first, for example {packer} -dc {} | \
         rate-limited run -",
        path.display(), path.display()
    )]
    Compressed {
        /// The input.
        path: PathBuf,
        /// The program that unpacks it.
        packer: &'static str,
    },
    /// Reading failed part way.
    #[error("failed to read the input {name} after line {line} (byte {offset}): {source}")]
    Read {
        /// The input.
        name: String,
        /// The last line that was read.
        line: u64,
        /// The bytes before the fault.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The names of its lines could not be compared.
    #[error(
        "failed to compare the names in the input {}: {source}, in a temporary file; set TMPDIR to a folder on a sound disk",
        path.display()
    )]
    Names {
        /// The input.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Lines that are no requests, under [`crate::reading::bad_line::BadLinePolicy::Fail`].
    #[error("{}", bad_lines(name, shown, *total))]
    BadLines {
        /// The input.
        name: String,
        /// The first of them, at most [`crate::reading::scan::BAD_LINES_SHOWN`].
        shown: Vec<BadLine>,
        /// All of them.
        total: u64,
    },
    /// The file is not what it was when it was looked through.
    #[error(
        "the input {} was changed while it was read: results may belong to other lines than it has \
         now; run again on a copy that stays as it is",
        .0.display()
    )]
    Changed(PathBuf),
}

fn open_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "check its name and the current folder",
        io::ErrorKind::PermissionDenied => "give yourself the right to read it",
        _ => "choose another input",
    }
}

fn bad_lines(name: &str, shown: &[BadLine], total: u64) -> String {
    let noun = if total == 1 { "line" } else { "lines" };
    let mut lines = vec![format!(
        "the input {name} has {} bad {noun}:",
        grouped(total)
    )];
    lines.extend(shown.iter().map(|bad| format!("  {bad}")));
    let more = total.saturating_sub(shown.len() as u64);
    if more > 0 {
        lines.push(format!("  … and {} more", grouped(more)));
    }
    let is_plain = |bad: &&BadLine| bad.line == 1 && matches!(bad.reason, BadReason::Json(_));
    if shown.first().filter(is_plain).is_some() {
        lines.push("lines of plain text become rows by: jq -R -c '{line: .}' FILE | rate-limited run - --prompt '{{line}}' …".to_owned());
    }
    lines.push("mend them, or pass --on-bad-line skip or --on-bad-line record".to_owned());
    lines.join("\n")
}

/// Reads an input on demand; iterates over its [`Item`]s and ends after the first error.
///
/// ```
/// use rate_limited_cli::reading::input::{Item, Reader};
///
/// let lines = "{\"model\": \"m\", \"input\": \"cat\"}\n\n{oops\n";
/// let items: Vec<Item> = Reader::stream(lines.as_bytes(), "-").collect::<Result<_, _>>()?;
/// assert!(matches!(&items[0], Item::Request(request) if request.line == 1));
/// assert!(matches!(&items[1], Item::Bad(bad) if bad.line == 3));
/// # Ok::<(), rate_limited_cli::reading::input::InputError>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    name: String,
    lines: Lines<R>,
    ids: Ids,
    origin: Option<Origin>,
    /// What becomes of the lines, where that was decided before.
    plan: Option<Follower>,
    ended: bool,
}

/// The file that was scanned before.
#[derive(Debug)]
struct Origin {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// How a second line of one name is found.
#[derive(Debug)]
enum Ids {
    /// A scan has found them: the line, and the line that has the name first.
    Scanned(HashMap<u64, u64>),
    /// Seen so far.
    Watched(Seen),
}

impl Reader<BufReader<File>> {
    /// Reads the file of a scan again.
    ///
    /// # Errors
    /// The file is gone or is not the one that was scanned. The iteration ends with
    /// [`InputError::Changed`] if it changed while it was read.
    pub fn open(scan: &Scan) -> Result<Self, InputError> {
        let path = scan.path().to_owned();
        let (source, stamp) = open_file(&path)?;
        if stamp != *scan.stamp() {
            return Err(InputError::Changed(path));
        }
        let failed = |source| InputError::Open {
            path: path.clone(),
            source,
        };
        let file = source.get_ref().try_clone().map_err(failed)?;
        let lines = Lines::new(source, scan.line_bytes_max(), scan.form());
        let ids = Ids::Scanned(scan.duplicates().clone());
        let name = path.display().to_string();
        let origin = Some(Origin { path, file, stamp });
        Ok(Reader {
            name,
            lines,
            ids,
            origin,
            plan: None,
            ended: false,
        })
    }

    /// Begins behind `mark`, and passes over lines of which `plan` says that they are over.
    pub(crate) fn resume(mut self, plan: Follower, mark: Mark) -> io::Result<Self> {
        self.lines = self.lines.seek(mark)?;
        self.plan = Some(plan);
        Ok(self)
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a source that can be read only once, such as standard input; `name` is for messages.
    ///
    /// The names of all lines so far are remembered as hashes: some in memory, more in a temporary file, up to 72 bytes
    /// each. Lines without a `custom_id` cost nothing.
    pub fn stream(source: R, name: &str) -> Reader<R> {
        Reader::stream_of(source, name, &Form::Requests)
    }

    /// As [`Reader::stream`], for lines of any form.
    pub(crate) fn stream_of(source: R, name: &str, form: &Form) -> Reader<R> {
        Reader {
            name: name.to_owned(),
            lines: Lines::new(source, LINE_BYTES_MAX, form),
            ids: Ids::Watched(Seen::default()),
            origin: None,
            plan: None,
            ended: false,
        }
    }

    fn next_item(&mut self) -> Result<Option<Item>, InputError> {
        let (plan, ids) = (&mut self.plan, &self.ids);
        let mut over = |line| match plan.as_mut()?.fate(line)? {
            (Fate::Over, position) if !ids.is_duplicate(line) => Some(position),
            _ => None,
        };
        match self
            .lines
            .next(&mut over)
            .map_err(|source| self.lines.failed(&self.name, source))?
        {
            Some(Judged::Over(line, position)) => Ok(Some(Item::Over { line, position })),
            Some(Judged::Good(good)) => match self.ids.judge(good) {
                Ok(item) => Ok(Some(item)),
                Err(source) => Err(self.lines.failed(&self.name, source)),
            },
            Some(Judged::Bad(bad)) => Ok(Some(Item::Bad(bad))),
            Some(Judged::Known(..)) => unreachable!("nothing is known at a glance here"),
            None => self.end().map(|()| None),
        }
    }

    /// Tells at the end whether what was read is what was scanned.
    fn end(&self) -> Result<(), InputError> {
        let Some(Origin { path, file, stamp }) = &self.origin else {
            return Ok(());
        };
        let metadata = file.metadata();
        let now = metadata.map_err(|source| self.lines.failed(&self.name, source))?;
        if Stamp::of(&now) == *stamp {
            Ok(())
        } else {
            Err(InputError::Changed(path.clone()))
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Item, InputError>;

    fn next(&mut self) -> Option<Result<Item, InputError>> {
        if self.ended {
            return None;
        }
        let item = self.next_item().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl Ids {
    /// Whether a scan has found that an earlier line has the name of this one.
    fn is_duplicate(&self, line: u64) -> bool {
        matches!(self, Ids::Scanned(duplicates) if duplicates.contains_key(&line))
    }

    fn judge(&mut self, good: Good) -> io::Result<Item> {
        let (id, line) = (
            good.parsed.request.custom_id.as_deref(),
            good.parsed.request.line,
        );
        let first_line = match self {
            Ids::Scanned(duplicates) => duplicates.get(&line).copied(),
            Ids::Watched(seen) => {
                let first = id.map(|id| seen.first(id, line)).transpose()?;
                first.filter(|first| *first != line)
            }
        };
        Ok(match first_line {
            Some(first_line) => Item::Bad(good.duplicate_of(first_line)),
            None => Item::Request(good.parsed.request),
        })
    }
}

/// Opens a regular file and notes what it is. The path is asked first: opening a pipe would wait.
pub(crate) fn open_file(path: &Path) -> Result<(BufReader<File>, Stamp), InputError> {
    let failed = |source| InputError::Open {
        path: path.to_owned(),
        source,
    };
    let there = path.metadata().map_err(failed)?;
    if there.is_dir() {
        return Err(InputError::IsAFolder(path.to_owned()));
    }
    if !there.is_file() {
        return Err(InputError::NotAFile(path.to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let stamp = Stamp::of(&file.metadata().map_err(failed)?);
    let mut source = BufReader::with_capacity(1 << 17, file);
    match source.fill_buf().map_err(failed)? {
        [0x1F, 0x8B, ..] => Err(InputError::Compressed {
            path: path.to_owned(),
            packer: "gzip",
        }),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Err(InputError::Compressed {
            path: path.to_owned(),
            packer: "zstd",
        }),
        _ => Ok((source, stamp)),
    }
}
