//! A new journal from what is good in a damaged one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use crate::error::{OpenError, Table};
use crate::look;
use crate::opening::{foreign, holder, make, newer, refused, system};
use crate::pages::{Pages, Record as Raw, Spot};
use crate::place::{self, Held, Kind};
use crate::reading;
use crate::record::{End, Record, State};
use crate::rows::{ChargeRow, FailureRow, JobRow, OpenRow, ResourceRow, ResultRow, Small};
use crate::side::{self, Count, Side, Tally};
use crate::store::{self, Store};
use crate::sum::Id;
use crate::totals::Totals;

/// Results that are copied in one commit.
const BATCH: usize = 1_024;

/// What was kept of a damaged journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Results that are what was written.
    pub kept: u64,
    /// Results that were committed once and are not among them, as far as that is known.
    pub lost: u64,
    /// Where the damaged file is now.
    pub damaged: PathBuf,
}

/// Makes a journal of what is good in the one at `path`, which stays beside it as
/// `PATH.damaged-1` or the next free number. Calls whose results are damaged are run again.
///
/// It reads the pages one by one: a result is kept if its own bytes are what was written, whatever
/// became of the rest.
///
/// # Errors
/// It is in use, there is nothing of a journal in the file, or the system refuses. Nothing was changed
/// then.
pub fn salvage(path: &Path) -> Result<Salvaged, OpenError> {
    let mut held = Held::take(path)?;
    let result = take_out(path, &mut held);
    if result.is_err() {
        held.undo();
    }
    result
}

fn take_out(path: &Path, held: &mut Held) -> Result<Salvaged, OpenError> {
    let failed = system(path);
    let kind = held.kind().map_err(failed)?;
    if let Kind::Newer(found) = kind {
        return Err(newer(path, found));
    }
    let count = side::count(path).map_err(failed)?;
    let fresh = place::beside(path, ".salvage");
    // A salvage that was killed in its last steps goes on with them.
    let begun = damaged_paths(path).find(|damaged| is_one_file(path, damaged));
    let begun = begun.filter(|_| matches!(place::kind_at(&fresh), Ok(Kind::Journal)));
    if begun.is_none() {
        let good = Good::of(path, count).map_err(failed)?;
        if good.is_nothing() {
            match (kind, count) {
                (_, Count::Known(_)) => {}
                (Kind::Foreign(what), _) => return Err(foreign(path, what)),
                (Kind::Empty, _) => return Err(failed(io::ErrorKind::NotFound.into())),
                _ => {}
            }
        }
        good.copy(path, &fresh)?;
    }
    let tally = tally(&fresh)?;
    let damaged = set_aside(path, begun).map_err(failed)?;
    held.replace(&fresh).map_err(failed)?;
    // What is missing is told now, and from now on it is not.
    Side::open(path, &holder(), tally).map_err(failed)?;
    let before = match count {
        Count::Known(before) => before.results,
        Count::Missing | Count::Damaged | Count::Foreign => 0,
    };
    Ok(Salvaged {
        kept: tally.results,
        lost: before.saturating_sub(tally.results),
        damaged,
    })
}

fn tally(fresh: &Path) -> Result<Tally, OpenError> {
    let totals = store::connect(fresh, true).and_then(|db| {
        let store = Store::of(db, Totals::default(), Vec::new());
        let totals = Totals::read(&store.db)?;
        store.close()?;
        Ok(totals.unwrap_or_default())
    });
    let totals = totals.map_err(|error| refused(fresh, &error))?;
    Ok(Tally::from(&totals))
}

fn damaged_paths(path: &Path) -> impl Iterator<Item = PathBuf> {
    let paths = (1_u32..).map(|number| place::beside(path, &format!(".damaged-{number}")));
    paths.take_while(|path| path.symlink_metadata().is_ok())
}

fn is_one_file(one: &Path, other: &Path) -> bool {
    match (one.symlink_metadata(), other.symlink_metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Gives a journal another name, and its log; its own still leads to it until the new one is there.
fn set_aside(path: &Path, begun: Option<PathBuf>) -> io::Result<PathBuf> {
    let damaged = if let Some(damaged) = begun {
        damaged
    } else {
        let number = damaged_paths(path).count() + 1;
        let damaged = place::beside(path, &format!(".damaged-{number}"));
        // Where the disk knows no second names, there is a moment without the first.
        std::fs::hard_link(path, &damaged).or_else(|_| std::fs::rename(path, &damaged))?;
        place::sync_folder(path)?;
        damaged
    };
    for suffix in ["-wal", "-shm", "-count"] {
        // The log belongs to the file that it was written for.
        let moved = std::fs::rename(place::beside(path, suffix), place::beside(&damaged, suffix));
        match moved {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(damaged)
}

/// What is good in a journal.
struct Good {
    pages: Pages,
    id: Id,
    /// The results, by their numbers.
    results: BTreeMap<i64, Spot>,
    /// Calls with a result, and the number of the last one.
    over: HashMap<i64, i64>,
    failures: BTreeMap<i64, Spot>,
    open: BTreeMap<u64, OpenRow>,
    resources: BTreeMap<i64, ResourceRow>,
    charges: BTreeMap<i64, ChargeRow>,
    job: JobRow,
}

impl Good {
    fn of(path: &Path, count: Count) -> io::Result<Good> {
        let pages = Pages::open(path)?;
        let mut found: BTreeMap<Id, BTreeMap<i64, (Spot, i64)>> = BTreeMap::new();
        // The journals that the file itself, without its log, says it is.
        let mut of_file = Vec::new();
        pages.each(&mut |record, spot| {
            of_file.extend(
                Totals::of(record)
                    .filter(|_| spot.is_filed())
                    .map(|totals| totals.id),
            );
            let row = ResultRow::of_any(record).filter(|(row, _)| State::of(row.state).is_some());
            if let Some((row, id)) = &row {
                let results = found.entry(*id).or_default();
                results.entry(row.number).or_insert((spot, row.position));
            }
            row.is_some()
        })?;
        // Pages of another journal may be among them.
        let told = match count {
            Count::Known(tally) => Some(tally.id),
            Count::Missing | Count::Damaged | Count::Foreign => None,
        };
        let told = told.filter(|id| found.contains_key(id) || of_file.contains(id));
        let most = found.iter().max_by_key(|(_, results)| results.len());
        let id = told.or(of_file.first().copied());
        let id = id.or(most.map(|(id, _)| *id));
        let mut good = Good {
            pages,
            id: id.unwrap_or_else(|| id_of(count)),
            results: BTreeMap::new(),
            over: HashMap::new(),
            failures: BTreeMap::new(),
            open: BTreeMap::new(),
            resources: BTreeMap::new(),
            charges: BTreeMap::new(),
            job: JobRow::default(),
        };
        for (number, (spot, position)) in found.remove(&good.id).unwrap_or_default() {
            good.results.insert(number, spot);
            let last = good.over.entry(position).or_insert(number);
            *last = number.max(*last);
        }
        good.small(path)?;
        Ok(good)
    }

    /// What is known of limits, of calls that are not over, and of the job. What the database still finds
    /// is what was written last; pages that it cannot reach may be of an earlier day.
    fn small(&mut self, path: &Path) -> io::Result<()> {
        let id = self.id;
        // To the database the log of an empty file is rubbish, which it removes.
        let is_one = place::kind_at(path)? == Kind::Journal;
        let db = is_one.then(|| store::connect(path, false).ok()).flatten();
        let db = db.as_ref();
        let open = rows(db, Table::Open, |row| OpenRow::of(row, id));
        let resources = rows(db, Table::Resources, |row| ResourceRow::of(row, id));
        let charges = rows(db, Table::Charges, |row| {
            Some((row.get::<_, i64>(0).ok()?, ChargeRow::of(row, id)?))
        });
        let job = db.and_then(|db| look::job(db, id).ok().flatten());
        let (has_resources, has_charges, has_job) =
            (resources.is_some(), charges.is_some(), job.is_some());
        // A call that is run again has a result and is open; but one whose result only the pages have was
        // open before that.
        let totals = db.and_then(|db| Totals::read(db).ok().flatten());
        let seen = totals.map_or(0, |totals| totals.results as i64);
        let is_open = |row: &OpenRow| {
            let last = self.over.get(&(row.position as i64));
            last.is_none_or(|last| *last <= seen)
        };
        let open = open.unwrap_or_default().into_iter().filter(is_open);
        self.open = by(open.collect(), |row| row.position);
        self.resources = by(resources.unwrap_or_default(), |row| row.id);
        self.charges = charges.unwrap_or_default().into_iter().collect();
        self.job = job.unwrap_or_default();
        let known: BTreeSet<u64> = self.open.keys().copied().collect();
        let pages = &self.pages;
        let (over, failures) = (&self.over, &mut self.failures);
        let (open, resources) = (&mut self.open, &mut self.resources);
        let (charges, job) = (&mut self.charges, &mut self.job);
        pages.each(&mut |record, spot| match record.len() {
            3 if !has_job => JobRow::of(record, id).map(|row| *job = row).is_some(),
            5 => {
                if let Some(row) = FailureRow::of(record, id) {
                    failures.entry(row.id).or_insert(spot);
                } else if let Some(row) = ResourceRow::of(record, id).filter(|_| !has_resources) {
                    later(resources, &row);
                } else if let Some((number, row)) = charge(record, id).filter(|_| !has_charges) {
                    charges.insert(number, row);
                } else {
                    return false;
                }
                true
            }
            8 => {
                let row = OpenRow::of(record, id);
                let is_row = row.is_some();
                let fits = |row: &OpenRow| {
                    !over.contains_key(&(row.position as i64)) && !known.contains(&row.position)
                };
                if let Some(row) = row.filter(fits) {
                    let known = open.get(&row.position).map(|known| known.attempts);
                    if known.is_none_or(|attempts| attempts < row.attempts) {
                        open.insert(row.position, row);
                    }
                }
                is_row
            }
            _ => true,
        })
    }

    fn is_nothing(&self) -> bool {
        self.results.is_empty() && self.open.is_empty() && self.failures.is_empty()
    }

    /// Makes a journal of it.
    fn copy(mut self, path: &Path, fresh: &Path) -> Result<(), OpenError> {
        let failed = |error| refused(path, &error);
        let job = std::mem::take(&mut self.job).0;
        let mut store = make(fresh, self.id, job)?;
        let results: Vec<_> = std::mem::take(&mut self.results).into_values().collect();
        for part in results.chunks(BATCH) {
            let mut ends = Vec::new();
            for spot in part {
                let record = self.pages.at(*spot).map_err(system(path))?;
                let ended = record.and_then(|record| reading::result(&record, self.id));
                ends.extend(ended.map(|(_, ended)| Record::End(End::from(ended))));
            }
            store.apply(&ends).map_err(failed)?;
        }
        let mut failures = Vec::new();
        for spot in self.failures.values() {
            let record = self.pages.at(*spot).map_err(system(path))?;
            failures.extend(record.and_then(|record| FailureRow::of(&record, self.id)));
        }
        store
            .commit(|store| self.put(store, &failures))
            .map_err(failed)?;
        store.close().map_err(failed)
    }

    fn put(self, store: &mut Store, failures: &[FailureRow]) -> rusqlite::Result<()> {
        for row in failures {
            store.put_failure(row)?;
        }
        for row in self.open.into_values() {
            store.put_open(&row)?;
        }
        for row in self.resources.into_values() {
            store.put_resource(row)?;
        }
        for row in self.charges.into_values() {
            store.put_charge(&row)?;
        }
        Ok(())
    }
}

fn id_of(count: Count) -> Id {
    match count {
        Count::Known(tally) => tally.id,
        Count::Missing | Count::Damaged | Count::Foreign => Id::random(),
    }
}

fn charge(record: &Raw, id: Id) -> Option<(i64, ChargeRow)> {
    use crate::rows::Fields;
    Some((record.number(0)?, ChargeRow::of(record, id)?))
}

/// Of two rows of one resource, more was spent by the later one.
fn later(resources: &mut BTreeMap<i64, ResourceRow>, row: &ResourceRow) {
    let known = resources.entry(row.id).or_insert_with(|| row.clone());
    known.spent = known.spent.max(row.spent);
    known.paused_until = known.paused_until.max(row.paused_until);
    if known.learnt.is_empty() {
        known.learnt.clone_from(&row.learnt);
    }
}

fn by<K: Ord, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> BTreeMap<K, T> {
    let rows = rows.into_iter().map(|row| (key(&row), row));
    rows.collect()
}

/// The good rows of a table, if the database can read all of it.
fn rows<T>(
    db: Option<&Connection>,
    table: Table,
    of: impl Fn(&Row<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut found = Vec::new();
    let read = look::each(db?, table, |row| {
        found.extend(of(row));
        true
    });
    read.ok().map(|()| found)
}
