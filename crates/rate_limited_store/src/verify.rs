//! A look at every row of a journal.

use std::path::Path;

use rusqlite::{Connection, Row};

use crate::error::{OpenError, Table};
use crate::journal::{self, damaged, refused};
use crate::past::{self, Counts, Damages, WRONG_SUM};
use crate::record::State;
use crate::side::{self, Count};
use crate::store;
use crate::walk::call_row;

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
}

/// Reads all of a journal and checks it; it may be in use meanwhile.
///
/// # Errors
/// It is damaged, and where; or it cannot be read.
pub fn verify(path: &Path) -> Result<Verified, OpenError> {
    let failed = |source| OpenError::System {
        path: path.to_owned(),
        source,
    };
    // The count first: results may be added meanwhile, and none may seem to be lost.
    let count = side::count(path).map_err(failed)?;
    let file = std::fs::File::open(path).map_err(failed)?;
    match crate::place::kind_of(&file).map_err(failed)? {
        crate::place::Kind::Journal | crate::place::Kind::Empty => {}
        crate::place::Kind::Newer(found) => {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                found,
                known: crate::schema::FORMAT,
            });
        }
        crate::place::Kind::Foreign(what) => {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
                what: what.to_owned(),
            });
        }
    }
    let mut damages = Damages::default();
    let looked = store::connect(path, false).and_then(|db| look(&db, &mut damages));
    let mut verified = looked.map_err(|error| refused(path, &error))?;
    if !damages.is_empty() {
        return Err(damaged(path, damages));
    }
    if let Count::Known(counted) = count {
        verified.lost = counted.saturating_sub(verified.results);
    }
    Ok(verified)
}

fn look(db: &Connection, damages: &mut Damages) -> rusqlite::Result<Verified> {
    // One state of the journal, whatever is added meanwhile.
    db.execute_batch("BEGIN")?;
    let Some(totals) = store::totals(db)? else {
        damages.add(
            Table::Meta,
            None,
            "the numbers of rows are not what was written",
        );
        return Ok(Verified::default());
    };
    let mut verified = Verified::default();
    let counts = &mut verified.counts;
    each(
        db,
        "SELECT * FROM calls",
        |row| {
            let (call, sum) = call_row(row).ok()?;
            match State::of(call.state)? {
                State::Done => counts.done += 1,
                State::Failed => counts.failed += 1,
            }
            (call.sum() == sum).then_some(())
        },
        Table::Calls,
        damages,
    )?;
    let results = &mut verified.results;
    each(
        db,
        "SELECT * FROM results ORDER BY number",
        |row| {
            *results += 1;
            let (number, _) = journal::result(row)?;
            (number == *results).then_some(())
        },
        Table::Results,
        damages,
    )?;
    let open = past::open_rows(db, damages)?;
    verified.counts.unfinished = open.len() as u64;
    verified.counts.unknown = open
        .iter()
        .filter(|row| row.in_flight != store::WAITING)
        .count() as u64;
    for known in past::resources(db, damages)? {
        past::charges(db, known.id, damages)?;
    }
    past::job(db, damages)?;
    failures(db, damages)?;
    orphans(db, damages)?;
    let calls = verified.counts.done + verified.counts.failed;
    if (calls, verified.results) != (totals.calls, totals.results) && damages.is_empty() {
        damages.add(
            Table::Meta,
            None,
            "the numbers of rows are not what was written",
        );
    }
    Ok(verified)
}

/// Shows each row to `check`, which says whether it is what was written.
fn each(
    db: &Connection,
    query: &str,
    mut check: impl FnMut(&Row<'_>) -> Option<()>,
    table: Table,
    damages: &mut Damages,
) -> rusqlite::Result<()> {
    let mut rows = db.prepare(query)?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if check(row).is_none() {
            damages.add(table, row.get(0).ok(), WRONG_SUM);
        }
    }
    Ok(())
}

fn failures(db: &Connection, damages: &mut Damages) -> rusqlite::Result<()> {
    let mut positions = db.prepare("SELECT DISTINCT position FROM failures")?;
    let positions = positions.query_map([], |row| row.get::<_, i64>(0))?;
    for position in positions.collect::<Result<Vec<_>, _>>()? {
        if journal::failures(db, position).is_err() {
            damages.add(Table::Failures, Some(position), WRONG_SUM);
        }
    }
    Ok(())
}

/// Each call that is over has the result that it names.
fn orphans(db: &Connection, damages: &mut Damages) -> rusqlite::Result<()> {
    let mut rows = db.prepare(
        "SELECT c.position FROM calls c LEFT JOIN results r ON r.number = c.number \
         WHERE r.position IS NOT c.position OR r.state IS NOT c.state OR r.key IS NOT c.key",
    )?;
    let rows = rows.query_map([], |row| row.get::<_, i64>(0))?;
    for position in rows {
        damages.add(
            Table::Calls,
            Some(position?),
            "its result is that of another call",
        );
    }
    Ok(())
}
