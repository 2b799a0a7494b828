//! What opening reads, and looks at, before anything is written.

use rusqlite::{Connection, Result, Row};

use crate::error::{Damage, Table};
use crate::past::Counts;
use crate::record::Position;
use crate::rows::{ChargeRow, Fields, JobRow, OpenRow, ResourceRow, Small, WRONG_SUM};
use crate::schema::{PAGE, POSITIONS, TABLES};
use crate::sum::{Id, low};
use crate::totals::Totals;

/// Pages of a journal that are looked at one by one when it is opened: 32 MiB, some 50 ms.
const PAGES_LOOKED_AT: u64 = 8_192;

/// More rows than this have no room in a page.
const ROWS_A_PAGE: u64 = PAGE as u64 / 8;

/// Damages found while something was read.
#[derive(Debug, Default)]
pub(crate) struct Damages {
    pub(crate) first: Vec<Damage>,
    pub(crate) more: u64,
}

impl Damages {
    /// The most that are kept.
    const KEPT: usize = 8;

    pub(crate) fn add(&mut self, table: Table, row: Option<i64>, what: impl Into<String>) {
        if self.first.len() < Self::KEPT {
            let what = what.into();
            self.first.push(Damage { table, row, what });
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

/// What a journal has, but for its results.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) totals: Totals,
    pub(crate) counts: Counts,
    pub(crate) job: JobRow,
    pub(crate) open: Vec<OpenRow>,
    pub(crate) resources: Vec<ResourceRow>,
    pub(crate) charges: Vec<ChargeRow>,
    /// The first position that no call has.
    pub(crate) end: Position,
    /// Pages that belong to the file.
    pub(crate) pages: u64,
}

impl Seen {
    /// Whether all pages were looked at.
    pub(crate) fn has_looked_at_pages(&self) -> bool {
        self.pages <= PAGES_LOOKED_AT
    }

    /// More rows than this cannot be there, however the pages refer to one another.
    pub(crate) fn most_rows(&self) -> u64 {
        self.pages.saturating_mul(ROWS_A_PAGE)
    }
}

/// Reads what an opening needs. Where there are damages, what comes back is of no use.
pub(crate) fn look(db: &Connection, damages: &mut Damages) -> Result<Seen> {
    let mut seen = Seen::default();
    if !has_our_tables(db)? {
        damages.add(Table::Meta, None, "its tables are not those of a journal");
        return Ok(seen);
    }
    seen.pages = db.query_row("PRAGMA page_count", [], |row| {
        Ok(row.get::<_, i64>(0)? as u64)
    })?;
    if seen.has_looked_at_pages() {
        structure(db, damages)?;
    }
    let totals = Totals::read(db)?;
    let most = seen.most_rows();
    let plausible = |totals: &Totals| totals.calls <= most && totals.results <= most;
    let Some(totals) = totals.filter(plausible) else {
        damages.add(
            Table::Meta,
            None,
            "the numbers of rows are not what was written",
        );
        return Ok(seen);
    };
    seen.totals = totals;
    seen.counts = counts(db, &totals, damages)?;
    match job(db, totals.id)? {
        Some(job) => seen.job = job,
        None => damages.add(Table::Meta, Some(0), WRONG_SUM),
    }
    let mut tables = Tables {
        db,
        totals,
        most,
        damages,
    };
    seen.open = tables.rows()?;
    seen.resources = tables.rows()?;
    seen.charges = tables.rows()?;
    seen.end = end(db, damages)?;
    Ok(seen)
}

/// Whether the tables are ours to the letter: what else is in a schema may be code.
fn has_our_tables(db: &Connection) -> Result<bool> {
    let query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid";
    let mut rows = db.prepare(query)?;
    let mut rows = rows.query([])?;
    let mut expected = TABLES.iter();
    while let Some(row) = rows.next()? {
        let Some((name, sql)) = expected.next() else {
            return Ok(false);
        };
        for (at, text) in ["table", name, name, sql].into_iter().enumerate() {
            if row.text(at) != Some(text) {
                return Ok(false);
            }
        }
    }
    Ok(expected.next().is_none())
}

/// Looks whether the pages hang together.
pub(crate) fn structure(db: &Connection, damages: &mut Damages) -> Result<()> {
    let mut lines = db.prepare("PRAGMA quick_check(4)")?;
    let mut lines = lines.query([])?;
    while let Some(line) = lines.next()? {
        let line: String = line.get(0)?;
        if line != "ok" {
            damages.add(Table::Meta, None, line.replace('\n', ": "));
        }
    }
    Ok(())
}

/// Looks whether the numbers of rows are those that they should be, and their checksums, too. Only `calls`
/// is read for it: it has narrow rows.
fn counts(db: &Connection, totals: &Totals, damages: &mut Damages) -> Result<Counts> {
    let query = "SELECT count(*), sum(state = 1), sum(state = 2), sum(sum & 4294967295) \
                 FROM (SELECT state, sum FROM calls LIMIT ?1)";
    let most = totals.calls as i64 + 1;
    let [found, done, failed, sum] = db.query_row(query, [most], |row| {
        let number = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.unwrap_or(0));
        Ok([number(0)?, number(1)?, number(2)?, number(3)?])
    })?;
    if found as u64 != totals.calls {
        let what = format!("{found} rows or more, and {} were written", totals.calls);
        damages.add(Table::Calls, None, what);
    } else if done + failed != found || sum as u64 != totals.sum_of(Table::Calls) {
        damages.add(Table::Calls, None, NOT_ALL);
    }
    let bound = |function: &str| {
        let query = format!("SELECT {function}(number) FROM results");
        db.query_row(&query, [], |row| row.get::<_, Option<i64>>(0))
    };
    let last = bound("max")?.unwrap_or(0);
    let first = bound("min")?.unwrap_or(1);
    if (first, last) != (1, totals.results as i64) {
        let what = format!("rows {first} to {last}, not 1 to {}", totals.results);
        damages.add(Table::Results, None, what);
    }
    Ok(Counts {
        done: done as u64,
        failed: failed as u64,
        ..Counts::default()
    })
}

/// What is said of a table whose rows are good, and not those that it should have.
pub(crate) const NOT_ALL: &str = "its rows are not those that were written last";

struct Tables<'a> {
    db: &'a Connection,
    totals: Totals,
    most: u64,
    damages: &'a mut Damages,
}

impl Tables<'_> {
    /// All rows of a small table.
    fn rows<T: Small>(&mut self) -> Result<Vec<T>> {
        let (table, id) = (T::TABLE, self.totals.id);
        let (mut found, mut bad, mut all) = (Vec::new(), 0_u64, 0_u64);
        each(self.db, table, |row| {
            if let Some(row) = T::of(row, id) {
                all = all.wrapping_add(low(row.sum(id)));
                found.push(row);
            } else {
                bad += 1;
                self.damages.add(table, row.get(0).ok(), WRONG_SUM);
            }
            found.len() as u64 + bad <= self.most
        })?;
        if bad == 0 && all != self.totals.sum_of(table) {
            self.damages.add(table, None, NOT_ALL);
        }
        Ok(found)
    }
}

/// Shows each row of a table, in order, for as long as `show` wants more.
pub(crate) fn each(
    db: &Connection,
    table: Table,
    mut show: impl FnMut(&Row<'_>) -> bool,
) -> Result<()> {
    let mut rows = db.prepare(&format!("SELECT * FROM {}", table.name()))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if !show(row) {
            break;
        }
    }
    Ok(())
}

/// What the journal says of its job; `None` if that is not what was written.
pub(crate) fn job(db: &Connection, id: Id) -> Result<Option<JobRow>> {
    let mut job = None;
    each(db, Table::Meta, |row| {
        job = JobRow::of(row, id);
        false
    })?;
    Ok(job)
}

/// The first position that no call has.
fn end(db: &Connection, damages: &mut Damages) -> Result<Position> {
    let mut end = 0;
    for table in [Table::Calls, Table::Open] {
        for function in ["min", "max"] {
            let query = format!("SELECT {function}(position) FROM {}", table.name());
            let position: Option<i64> = db.query_row(&query, [], |row| row.get(0))?;
            match position {
                // New calls come behind the last one: there must be room for as many once more.
                Some(position) if (0..POSITIONS / 2).contains(&position) => {
                    end = end.max(position as u64 + 1);
                }
                Some(position) => damages.add(table, Some(position), "no call has this position"),
                None => {}
            }
        }
    }
    Ok(end)
}
