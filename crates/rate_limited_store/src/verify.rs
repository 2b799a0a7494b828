//! A look at every row of a journal.

use std::path::Path;

use rusqlite::{Connection, Result};

use crate::error::{OpenError, Table};
use crate::log::Visit;
use crate::look::{self, Damages, NOT_ALL, Seen};
use crate::opening::{ANOTHER, damaged, foreign, is_of_another, missing, newer, refused, system};
use crate::past::Counts;
use crate::place::{self, Kind};
use crate::reading;
use crate::rows::{CallRow, FailureRow, UNKNOWN, WAITING, WRONG_SUM};
use crate::side::{self, Tally};
use crate::store;
use crate::sum::low;

/// What a look at every row found: all of them are what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Verified {
    /// How many calls there are.
    pub counts: Counts,
    /// How many results there are, those of calls that were run again included.
    pub results: u64,
    /// Results that were committed once and are gone.
    pub lost: u64,
    /// Whether anything that was committed once is gone, be it results or not.
    pub torn: bool,
    /// Whether the count beside the journal could not tell if results are missing.
    pub uncounted: bool,
}

/// Reads all of a journal and checks it; it may be in use meanwhile.
///
/// # Errors
/// It is damaged, and where; or it cannot be read.
pub fn verify(path: &Path) -> std::result::Result<Verified, OpenError> {
    // The count first: results may be added meanwhile, and none may seem to be lost.
    let count = side::count(path).map_err(system(path))?;
    match place::kind_at(path).map_err(system(path))? {
        Kind::Journal => {}
        Kind::Newer(found) => return Err(newer(path, found)),
        Kind::Foreign(what) => return Err(foreign(path, what)),
        Kind::Broken(what) => return Err(broken(path, what)),
        Kind::Empty => return Err(broken(path, "the file is empty")),
    }
    let mut damages = Damages::default();
    let _visit = Visit::to(path);
    let looked = store::connect(path, false).and_then(|db| all(&db, &mut damages));
    if let Ok(seen) = &looked
        && is_of_another(count, Tally::from(&seen.totals))
    {
        damages.add(Table::Meta, None, ANOTHER);
    }
    if !damages.is_empty() {
        return Err(damaged(path, damages));
    }
    let seen = looked.map_err(|error| refused(path, &error))?;
    let (lost, torn, uncounted) = missing(count, Tally::from(&seen.totals));
    let unknown = seen.open.iter().filter(|row| row.in_flight != WAITING);
    Ok(Verified {
        counts: Counts {
            unfinished: seen.open.len() as u64,
            unknown: unknown.count() as u64,
            ..seen.counts
        },
        results: seen.totals.results,
        lost,
        torn,
        uncounted,
    })
}

pub(crate) fn broken(path: &Path, what: &str) -> OpenError {
    let mut damages = Damages::default();
    damages.add(Table::Meta, None, what);
    damaged(path, damages)
}

/// Looks at everything.
fn all(db: &Connection, damages: &mut Damages) -> Result<Seen> {
    // One state of the journal, whatever is added meanwhile.
    db.execute_batch("BEGIN")?;
    let seen = look::look(db, damages)?;
    for row in &seen.open {
        if !(WAITING..=UNKNOWN).contains(&row.in_flight) {
            damages.add(
                Table::Open,
                Some(row.position as i64),
                "it has no known state",
            );
        }
    }
    if damages.is_empty() {
        deep(db, &seen, damages)?;
    }
    Ok(seen)
}

/// Looks at what an opening does not.
pub(crate) fn deep(db: &Connection, seen: &Seen, damages: &mut Damages) -> Result<()> {
    if !seen.has_looked_at_pages() {
        look::structure(db, damages)?;
    }
    let id = seen.totals.id;
    look::each(db, Table::Calls, |row| {
        if CallRow::of(row, id).is_none() {
            damages.add(Table::Calls, row.get(0).ok(), WRONG_SUM);
        }
        true
    })?;
    let (mut results, mut sum) = (0, 0_u64);
    look::each(db, Table::Results, |row| {
        results += 1;
        match reading::result(row, id) {
            Some((number, _)) if number == results => {
                sum = sum.wrapping_add(low(row.get(7).unwrap_or_default()));
            }
            _ => damages.add(Table::Results, row.get(0).ok(), WRONG_SUM),
        }
        results <= seen.totals.results
    })?;
    if damages.is_empty()
        && (results, sum) != (seen.totals.results, seen.totals.sum_of(Table::Results))
    {
        damages.add(Table::Results, None, NOT_ALL);
    }
    failures(db, seen, damages)?;
    if damages.is_empty() {
        orphans(db, damages)?;
    }
    Ok(())
}

fn failures(db: &Connection, seen: &Seen, damages: &mut Damages) -> Result<()> {
    let (id, most) = (seen.totals.id, seen.most_rows());
    let (mut found, mut bad, mut all) = (0_u64, 0_u64, 0_u64);
    look::each(db, Table::Failures, |row| {
        if let Some(row) = FailureRow::of(row, id) {
            all = all.wrapping_add(low(row.sum(id)));
        } else {
            bad += 1;
            damages.add(Table::Failures, row.get(0).ok(), WRONG_SUM);
        }
        found += 1;
        found <= most
    })?;
    if bad == 0 && all != seen.totals.sum_of(Table::Failures) {
        damages.add(Table::Failures, None, NOT_ALL);
    }
    Ok(())
}

/// Each call that is over has the result that it names.
fn orphans(db: &Connection, damages: &mut Damages) -> Result<()> {
    let mut rows = db.prepare(
        "SELECT c.position FROM calls c LEFT JOIN results r ON r.number = c.number \
         WHERE r.position IS NOT c.position OR r.state IS NOT c.state OR r.key IS NOT c.key",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let position = row.get(0)?;
        damages.add(
            Table::Calls,
            Some(position),
            "its result is that of another call",
        );
    }
    Ok(())
}
