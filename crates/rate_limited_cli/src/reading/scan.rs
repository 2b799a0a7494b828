//! Looking through a whole input file before anything is sent.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use crate::asking::rows::Form;
use crate::calling::judge::{Good, Judged, Lines};
use crate::reading::bad_line::{BadLine, BadLinePolicy};
use crate::reading::input::{self, InputError, LINE_BYTES_MAX};
use crate::reading::line::Glance;
use crate::reading::raw_lines::Behind;
use crate::reading::repeats::Repeats;
use crate::reading::request::{Request, record_id};
use crate::reading::stamp::Stamp;

/// The most bad lines that a scan keeps and a message shows.
pub const BAD_LINES_SHOWN: usize = 20;

/// What a file of requests holds.
#[derive(Debug)]
pub struct Scan {
    /// Lines that are requests.
    pub requests: u64,
    /// All lines, blank and bad ones included.
    pub lines: u64,
    /// Lines of white space only.
    pub blank: u64,
    /// The first bad lines, at most [`BAD_LINES_SHOWN`], in their order.
    pub bad: Vec<BadLine>,
    /// All bad lines.
    pub bad_total: u64,
    /// The size of the file.
    pub bytes: u64,
    path: PathBuf,
    stamp: Stamp,
    line_bytes_max: usize,
    form: Form,
    duplicates: HashMap<u64, u64>,
}

impl Scan {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    pub(crate) fn line_bytes_max(&self) -> usize {
        self.line_bytes_max
    }

    /// Lines whose name an earlier line has, with that line.
    pub(crate) fn duplicates(&self) -> &HashMap<u64, u64> {
        &self.duplicates
    }
}

/// Looks through a file of requests once, from beginning to end.
///
/// Memory stays bounded, apart from what names used twice take: hashes of many names are compared in a temporary file, 8
/// bytes each. A file without requests is no error: [`Scan::requests`] is 0.
///
/// # Errors
/// The file cannot be read, is no regular file, is compressed, or changes meanwhile; under
/// [`BadLinePolicy::Fail`] also bad lines, the first [`BAD_LINES_SHOWN`] of them in the message.
pub fn scan_file(path: &Path, policy: BadLinePolicy) -> Result<Scan, InputError> {
    scan_file_each(path, policy, |_request| ())
}

/// Like [`scan_file`], and shows each request to `each`, for sums over all of them.
///
/// A line whose name an earlier one has is shown too: that is known only at the end.
///
/// # Errors
/// As [`scan_file`].
pub fn scan_file_each(
    path: &Path,
    policy: BadLinePolicy,
    each: impl FnMut(&Request),
) -> Result<Scan, InputError> {
    scan_file_watched(path, policy, &Form::Requests, &mut Each(each))
}

/// What watches a scan.
pub(crate) trait Watch {
    /// Sees what tells a request from others, and where the input stands behind it. Whether that
    /// is enough: then the request is not shown to [`Watch::request`].
    fn glance(&mut self, glance: &Glance<'_>, behind: Behind) -> bool;

    /// Sees a request.
    fn request(&mut self, request: &Request);

    /// Sees a line that is none by itself, and where the input stands behind it.
    fn bad_line(&mut self, bad: &BadLine, behind: Behind);
}

/// Sees requests only.
struct Each<F>(F);

impl<F: FnMut(&Request)> Watch for Each<F> {
    fn glance(&mut self, _: &Glance<'_>, _: Behind) -> bool {
        false
    }

    fn request(&mut self, request: &Request) {
        self.0(request);
    }

    fn bad_line(&mut self, _: &BadLine, _: Behind) {}
}

/// Like [`scan_file_each`], with a closer view.
///
/// # Errors
/// As [`scan_file`].
pub(crate) fn scan_file_watched(
    path: &Path,
    policy: BadLinePolicy,
    form: &Form,
    watch: &mut dyn Watch,
) -> Result<Scan, InputError> {
    let key = RandomState::new();
    let hash = |id: &str| key.hash_one(id);
    Scanner {
        path,
        line_bytes_max: LINE_BYTES_MAX,
        form,
        hash: &hash,
    }
    .scan(policy, watch)
}

struct Scanner<'a> {
    path: &'a Path,
    line_bytes_max: usize,
    form: &'a Form,
    hash: &'a dyn Fn(&str) -> u64,
}

impl Scanner<'_> {
    fn scan(&self, policy: BadLinePolicy, watch: &mut dyn Watch) -> Result<Scan, InputError> {
        let (source, stamp) = input::open_file(self.path)?;
        let mut lines = Lines::new(source, self.line_bytes_max, self.form);
        let mut bad = BadLines::default();
        let mut names = Names::default();
        let mut good = 0;
        while let Some(judged) = self.next(&mut lines, watch)? {
            match judged {
                Judged::Good(Good { parsed, .. }) => {
                    good += 1;
                    let Request {
                        line, custom_id, ..
                    } = &parsed.request;
                    names.add(*line, custom_id.as_deref(), self.hash);
                    watch.request(&parsed.request);
                }
                Judged::Known(line, custom_id) => {
                    good += 1;
                    names.add(line, custom_id.as_deref(), self.hash);
                }
                Judged::Over(..) => unreachable!("nothing is known of calls here"),
                Judged::Bad(line) => {
                    watch.bad_line(&line, lines.behind());
                    bad.add(line);
                }
            }
        }
        let duplicates = self.duplicates(names, &mut bad)?;
        let scan = Scan {
            requests: good - duplicates.len() as u64,
            lines: lines.count(),
            blank: lines.blank(),
            bad: bad.first,
            bad_total: bad.total,
            bytes: lines.behind().bytes,
            path: self.path.to_owned(),
            stamp,
            line_bytes_max: self.line_bytes_max,
            form: self.form.clone(),
            duplicates,
        };
        self.check_unchanged(&scan.stamp)?;
        self.judge(policy, scan)
    }

    /// Names used twice, with the bad lines that they make. Equal hashes only say where to look: the
    /// file is read again and the names themselves are compared.
    fn duplicates(
        &self,
        names: Names,
        bad: &mut BadLines,
    ) -> Result<HashMap<u64, u64>, InputError> {
        let mut duplicates = HashMap::new();
        let read = |source| InputError::Names {
            path: self.path.to_owned(),
            source,
        };
        let Some(suspects) = names.suspects().map_err(read)? else {
            return Ok(duplicates);
        };
        let (source, _) = input::open_file(self.path)?;
        let mut lines = Lines::new(source, self.line_bytes_max, self.form);
        let mut first_lines: HashMap<String, u64> = HashMap::new();
        while let Some(judged) = self.next(&mut lines, &mut Each(|_: &Request| ()))? {
            let Judged::Good(good) = judged else { continue };
            let request = &good.parsed.request;
            if !suspects.include(request, self.hash) {
                continue;
            }
            let line = request.line;
            let first = *first_lines
                .entry(request.record_id().into_owned())
                .or_insert(line);
            if first != line {
                duplicates.insert(line, first);
                bad.add(good.duplicate_of(first));
            }
        }
        Ok(duplicates)
    }

    fn next<R: BufRead>(
        &self,
        lines: &mut Lines<R>,
        watch: &mut dyn Watch,
    ) -> Result<Option<Judged>, InputError> {
        lines
            .next_unless(&mut |glance, behind| watch.glance(glance, behind))
            .map_err(|source| lines.failed(&self.path.display().to_string(), source))
    }

    fn check_unchanged(&self, before: &Stamp) -> Result<(), InputError> {
        let failed = |source| InputError::Open {
            path: self.path.to_owned(),
            source,
        };
        let now = Stamp::of(&self.path.metadata().map_err(failed)?);
        if now == *before {
            Ok(())
        } else {
            Err(InputError::Changed(self.path.to_owned()))
        }
    }

    fn judge(&self, policy: BadLinePolicy, scan: Scan) -> Result<Scan, InputError> {
        if policy == BadLinePolicy::Fail && scan.bad_total > 0 {
            let name = self.path.display().to_string();
            return Err(InputError::BadLines {
                name,
                shown: scan.bad,
                total: scan.bad_total,
            });
        }
        Ok(scan)
    }
}

/// The first bad lines and the number of all.
#[derive(Default)]
struct BadLines {
    first: Vec<BadLine>,
    total: u64,
}

impl BadLines {
    /// Lines come in order within each of two passes, so a later one may belong before others.
    fn add(&mut self, bad: BadLine) {
        self.total += 1;
        let place = self
            .first
            .partition_point(|earlier| earlier.line < bad.line);
        if place < BAD_LINES_SHOWN {
            self.first.insert(place, bad);
            self.first.truncate(BAD_LINES_SHOWN);
        }
    }
}

/// The names seen in the first pass, as hashes.
#[derive(Default)]
struct Names {
    hashes: Repeats,
    /// Lines that another line's name speaks of: `line-7`, and it is not on line 7.
    claimed: HashSet<u64>,
    unnamed: bool,
}

impl Names {
    fn add(&mut self, line: u64, custom_id: Option<&str>, hash: impl Fn(&str) -> u64) {
        let Some(id) = custom_id else {
            self.unnamed = true;
            return;
        };
        self.hashes.add(hash(id));
        self.claimed
            .extend(line_claimed(id).filter(|claimed| *claimed != line));
    }

    /// What the second pass looks for; `None` if there is nothing to find.
    fn suspects(self) -> io::Result<Option<Suspects>> {
        let claimed = if self.unnamed {
            self.claimed
        } else {
            HashSet::new()
        };
        let repeated = self.hashes.find()?;
        let suspects = Suspects { repeated, claimed };
        Ok((!suspects.repeated.is_empty() || !suspects.claimed.is_empty()).then_some(suspects))
    }
}

/// Names that may be used twice.
struct Suspects {
    repeated: HashSet<u64>,
    claimed: HashSet<u64>,
}

impl Suspects {
    fn include(&self, request: &Request, hash: impl Fn(&str) -> u64) -> bool {
        match &request.custom_id {
            Some(id) => {
                let claims = line_claimed(id).is_some_and(|line| self.claimed.contains(&line));
                claims || self.repeated.contains(&hash(id))
            }
            None => self.claimed.contains(&request.line),
        }
    }
}

/// The line whose record, if it had no name, would be called like this.
fn line_claimed(id: &str) -> Option<u64> {
    let line = id.strip_prefix("line-")?.parse().ok()?;
    (record_id(line, None) == id).then_some(line)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{BadLinePolicy, Each, Form, Request, Scan, Scanner};

    fn scan(text: &str, hash: &dyn Fn(&str) -> u64) -> Scan {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("room for it");
        let scanner = Scanner {
            path: file.path(),
            line_bytes_max: 60,
            form: &Form::Requests,
            hash,
        };
        scanner
            .scan(BadLinePolicy::Skip, &mut Each(|_: &Request| ()))
            .expect("a file that can be read")
    }

    #[test]
    fn names_of_one_hash_are_no_duplicates() {
        let ids = ["a", "b", "c", "b", "d", "a", "b"];
        let text = ids
            .map(|id| format!("{{\"custom_id\":\"{id}\",\"body\":{{}}}}\n"))
            .concat();
        let found = scan(&text, &|_| 7);
        assert_eq!(found.requests, 4);
        let mut lines: Vec<_> = found.duplicates.into_iter().collect();
        lines.sort_unstable();
        assert_eq!(lines, [(4, 2), (6, 1), (7, 2)]);
        assert_eq!(
            found.bad.iter().map(|bad| bad.line).collect::<Vec<_>>(),
            [4, 6, 7]
        );
    }

    #[test]
    fn the_cap_on_lines_is_that_of_the_scanner() {
        let long = format!(
            "{{\"input\":\"{}\"}}\n{{\"input\":\"b\"}}\n",
            "a".repeat(60)
        );
        let found = scan(&long, &|_| 7);
        assert_eq!((found.requests, found.bad_total), (1, 1));
        let message = found.bad[0].to_string();
        assert_eq!(
            message,
            "line 1, column 1 (byte 0): the line is longer than 60 bytes, the most that is read"
        );
    }
}
