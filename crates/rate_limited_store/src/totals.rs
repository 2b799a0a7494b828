//! What the tables add up to.

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::error::Table;
use crate::rows::Fields;
use crate::schema;
use crate::sum::{self, Id, Sum};

/// The tables that are added up, in the order of their sums.
const ADDED: [Table; 6] = [
    Table::Calls,
    Table::Open,
    Table::Results,
    Table::Failures,
    Table::Charges,
    Table::Resources,
];

/// How many rows the tables should have, and what their checksums should add up to. It is written with
/// each commit: a row that is missing, or one of an earlier day, is noticed however it came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) id: Id,
    pub(crate) calls: u64,
    pub(crate) results: u64,
    /// Commits so far.
    pub(crate) commits: u64,
    sums: [u64; ADDED.len()],
}

impl Totals {
    /// Those of an empty journal.
    pub(crate) fn new(id: Id) -> Totals {
        Totals {
            id,
            ..Totals::default()
        }
    }

    /// A row was written, instead of another one if there is one.
    pub(crate) fn replaced(&mut self, table: Table, old: Option<i64>, new: Option<i64>) {
        if let Some(place) = ADDED.iter().position(|added| *added == table) {
            let [old, new] = [old, new].map(|sum| sum.map_or(0, sum::low));
            self.sums[place] = self.sums[place].wrapping_sub(old).wrapping_add(new);
        }
    }

    /// What the checksums of a table should add up to.
    pub(crate) fn sum_of(&self, table: Table) -> u64 {
        let place = ADDED.iter().position(|added| *added == table);
        place.map_or(0, |place| self.sums[place])
    }

    fn bytes(&self) -> Vec<u8> {
        let sums = self.sums.iter();
        sums.flat_map(|sum| sum.to_le_bytes()).collect()
    }

    fn sum(&self) -> i64 {
        let sum = Sum::of(Table::Meta, self.id).number(self.calls as i64);
        let sum = sum.number(self.results as i64).number(self.commits as i64);
        sum.bytes(Some(&self.bytes())).finish()
    }

    pub(crate) fn put(&self, db: &Connection) -> Result<()> {
        db.prepare_cached(schema::PUT_TOTALS)?.execute(params![
            self.calls as i64,
            self.results as i64,
            self.commits as i64,
            self.bytes(),
            self.sum(),
        ])?;
        Ok(())
    }

    /// The totals of a journal, if they are what was written.
    pub(crate) fn read(db: &Connection) -> Result<Option<Totals>> {
        let row = db
            .query_row("SELECT * FROM totals WHERE id = 0", [], |row| {
                Ok(Totals::of(row))
            })
            .optional()?;
        Ok(row.flatten())
    }

    /// The totals of whatever journal, if they are what was written.
    pub(crate) fn of(fields: &impl Fields) -> Option<Totals> {
        let sum = fields.number(5)?;
        let mut totals = Totals {
            id: Id::of_sum(sum)?,
            calls: u64::try_from(fields.number(1)?).ok()?,
            results: u64::try_from(fields.number(2)?).ok()?,
            commits: u64::try_from(fields.number(3)?).ok()?,
            sums: [0; ADDED.len()],
        };
        let (sums, rest) = fields.bytes(4)?.as_chunks::<8>();
        if sums.len() != totals.sums.len() || !rest.is_empty() {
            return None;
        }
        for (place, bytes) in totals.sums.iter_mut().zip(sums) {
            *place = u64::from_le_bytes(*bytes);
        }
        (sum == totals.sum()).then_some(totals)
    }
}
