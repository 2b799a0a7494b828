//! A glance at a journal that changes nothing, whoever has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;
use crate::error::OpenError;
use crate::log::Visit;
use crate::look::{self, Damages, Seen};
use crate::opening::{damaged, foreign, missing, newer, refused, system};
use crate::past::{self, Counts, Past};
use crate::place::{self, Kind};
use crate::rows::WAITING;
use crate::side::{self, Tally};
use crate::store;
use crate::sum::Id;
use crate::verify;

/// What a journal has.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Peeked {
    /// How many calls there are; while somebody has it, the unknown ones are those in flight.
    pub counts: Counts,
    /// The keys of the unknown ones.
    pub unknown: Vec<Digest>,
    /// Results at the end that were committed once and are gone.
    pub lost: u64,
    /// What the job was said to be, by name.
    pub job: BTreeMap<String, String>,
    /// Who has it, if somebody does.
    pub holder: Option<String>,
}

/// Looks at the counts of a journal, and at who has it. Its results are not read.
///
/// # Errors
/// It is no journal, of a later version, or damaged; or it cannot be read.
pub fn peek(path: &Path) -> Result<Peeked, OpenError> {
    let Glimpse {
        seen, lost, holder, ..
    } = glimpse(path)?;
    let unknown = seen.open.iter().filter(|row| row.in_flight != WAITING);
    let unknown: Vec<_> = unknown.map(|row| row.key).collect();
    Ok(Peeked {
        counts: Counts {
            unfinished: seen.open.len() as u64,
            unknown: unknown.len() as u64,
            ..seen.counts
        },
        unknown,
        lost,
        job: seen.job.0.into_iter().collect(),
        holder,
    })
}

/// Somebody who reads what a journal has, whoever writes it, and changes nothing.
///
/// It is for looking ahead: what it says is how things stood at one moment.
///
/// ```
/// use rate_limited_store::{Digest, Found, Journal, Onlooker, Options, Walk};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("run.journal");
/// drop(Journal::open(&path, &Options::default())?);
/// let onlooker = Onlooker::new(&path, &[])?;
/// assert_eq!(onlooker.past.counts.done, 0);
/// let key = Digest::of(&[b"a"]);
/// assert_eq!(Walk::beside(&onlooker)?.look(key, key)?, Found::New { position: 0 });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Onlooker {
    /// What opening the journal would find. Calls in flight are not over.
    pub past: Arc<Past>,
    /// Who has it, if somebody does.
    pub holder: Option<String>,
    pub(crate) path: PathBuf,
    pub(crate) id: Id,
}

impl Onlooker {
    /// Looks at the journal at `path`, and at what was taken of these resources, which have such windows.
    ///
    /// # Errors
    /// It is no journal, of a later version, or damaged; or it cannot be read.
    pub fn new(
        path: &Path,
        resources: &[(String, Option<Duration>)],
    ) -> Result<Onlooker, OpenError> {
        let Glimpse { seen, holder, .. } = glimpse(path)?;
        Ok(Onlooker {
            id: seen.totals.id,
            past: Arc::new(past::foresee(seen, holder.is_some(), resources)),
            path: path.to_owned(),
            holder,
        })
    }
}

/// One state of a journal.
#[derive(Default)]
struct Glimpse {
    seen: Seen,
    lost: u64,
    holder: Option<String>,
}

fn glimpse(path: &Path) -> Result<Glimpse, OpenError> {
    // The count first: results may be added meanwhile, and none may seem to be lost.
    let count = side::count(path).map_err(system(path))?;
    let is_held = place::is_held(path).map_err(system(path))?;
    let holder = is_held.then(|| side::holder(path));
    match place::kind_at(path).map_err(system(path))? {
        Kind::Journal => {}
        Kind::Newer(found) => return Err(newer(path, found)),
        Kind::Foreign(what) => return Err(foreign(path, what)),
        Kind::Broken(what) => return Err(verify::broken(path, what)),
        // A run died as it began, or is about to.
        Kind::Empty => {
            return Ok(Glimpse {
                holder,
                ..Glimpse::default()
            });
        }
    }
    let mut damages = Damages::default();
    let _visit = Visit::to(path);
    let looked = store::connect(path, false).and_then(|db| {
        // One state of the journal, whatever is added meanwhile.
        db.execute_batch("BEGIN")?;
        look::look(&db, &mut damages)
    });
    if !damages.is_empty() {
        return Err(damaged(path, damages));
    }
    let seen = looked.map_err(|error| refused(path, &error))?;
    let (lost, ..) = missing(count, Tally::from(&seen.totals));
    Ok(Glimpse { seen, lost, holder })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::peek;
    use crate::digest::Digest;
    use crate::journal::{Journal, Options};
    use crate::record::{End, Record};

    fn open(path: &Path) -> Journal {
        let opened = Journal::open(path, &Options::default());
        opened.expect("a good journal").journal
    }

    #[test]
    fn a_glance_tells_who_has_it_and_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.journal");
        assert!(peek(&path).is_err(), "there is none");
        let journal = open(&path);
        let key = Digest::of(&[b"a"]);
        let end = End::done(0, key, key, 1, Some(b"a".to_vec()));
        let ticket = journal.push(Record::End(end)).expect("open");
        journal.wait(ticket).expect("room");
        let held = peek(&path).expect("a good journal");
        assert_eq!(held.counts.done, 1);
        assert!(held.holder.is_some_and(|holder| holder.contains("process")));
        drop(journal);
        assert_eq!(peek(&path).expect("a good journal").holder, None);
        let journal = open(&path);
        assert_eq!(journal.latest(0).expect("it is there").key, key);
        let is_result = |body: &[u8]| journal.is_result(1, body).expect("readable");
        assert_eq!(
            [is_result(b"a"), is_result(b"b"), is_result(b"")],
            [true, false, false]
        );
        assert!(
            !journal.is_result(2, b"a").expect("readable"),
            "there is none"
        );
        let has_result = |bodies: &[&[u8]]| journal.has_result(bodies).expect("readable");
        assert!(has_result(&[b"b", b"a"]));
        assert!(!has_result(&[b"b", b""]) && !has_result(&[]));
    }

    /// To ask is to hold it for a moment: that must not keep a run from beginning.
    #[test]
    fn those_who_ask_are_in_nobodys_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.journal");
        drop(open(&path));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    peek(&path).expect("a good journal");
                }
            });
            for _ in 0..50 {
                drop(open(&path));
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}
