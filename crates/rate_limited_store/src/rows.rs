//! The rows of the tables: what is in them, their checksums, and how they are written.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, params};

use crate::digest::Digest;
use crate::error::Table;
use crate::record::Failure;
use crate::schema::{self, FAILURE_BITS, POSITIONS};
use crate::sum::{Id, Sum};
use crate::wall::Wall;

/// What is said of a row whose checksum is wrong.
pub(crate) const WRONG_SUM: &str = "its checksum is wrong";

/// The fields of a row, wherever it was read. A field of another type than expected is none.
pub(crate) trait Fields {
    fn value(&self, at: usize) -> Option<ValueRef<'_>>;

    fn number(&self, at: usize) -> Option<i64> {
        match self.value(at)? {
            ValueRef::Integer(number) => Some(number),
            _ => None,
        }
    }

    fn count(&self, at: usize) -> Option<u32> {
        u32::try_from(self.number(at)?).ok()
    }

    fn position(&self, at: usize) -> Option<i64> {
        self.number(at)
            .filter(|position| (0..POSITIONS).contains(position))
    }

    fn bytes(&self, at: usize) -> Option<&[u8]> {
        match self.value(at)? {
            ValueRef::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn text(&self, at: usize) -> Option<&str> {
        match self.value(at)? {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn digest(&self, at: usize) -> Option<Digest> {
        self.bytes(at)?.try_into().ok().map(Digest)
    }
}

impl Fields for rusqlite::Row<'_> {
    fn value(&self, at: usize) -> Option<ValueRef<'_>> {
        self.get_ref(at).ok()
    }
}

/// A row of a table that is read as a whole.
pub(crate) trait Small: Sized {
    const TABLE: Table;

    /// The row, if it is what was written.
    fn of(fields: &impl Fields, id: Id) -> Option<Self>;

    fn sum(&self, id: Id) -> i64;
}

/// A row of `calls`.
pub(crate) struct CallRow {
    pub(crate) position: i64,
    pub(crate) key: Digest,
    pub(crate) request: Digest,
    pub(crate) state: i64,
    pub(crate) attempts: u32,
    pub(crate) number: i64,
}

impl CallRow {
    /// The row, if it is what was written.
    pub(crate) fn of(fields: &impl Fields, id: Id) -> Option<CallRow> {
        let call = CallRow {
            position: fields.position(0)?,
            key: fields.digest(1)?,
            request: fields.digest(2)?,
            state: fields.number(3)?,
            attempts: fields.count(4)?,
            number: fields.number(5)?,
        };
        (fields.number(6)? == call.sum(id)).then_some(call)
    }

    fn sum(&self, id: Id) -> i64 {
        let sum = Sum::of(Table::Calls, id).number(self.position);
        let sum = sum.digest(self.key).digest(self.request);
        let sum = sum.number(self.state).number(self.attempts.into());
        sum.number(self.number).finish()
    }

    /// Writes it, and gives its checksum.
    pub(crate) fn put(&self, db: &Connection, id: Id) -> Result<i64> {
        let sum = self.sum(id);
        db.prepare_cached(schema::PUT_CALL)?.execute(params![
            self.position,
            self.key.0,
            self.request.0,
            self.state,
            self.attempts,
            self.number,
            sum,
        ])?;
        Ok(sum)
    }
}

/// A row of `open`.
pub(crate) struct OpenRow {
    pub(crate) position: u64,
    pub(crate) key: Digest,
    pub(crate) request: Digest,
    pub(crate) attempts: u32,
    pub(crate) crashes: u32,
    pub(crate) in_flight: i64,
    pub(crate) reserved: Vec<u8>,
}

/// What `open.in_flight` says.
pub(crate) const WAITING: i64 = 0;
pub(crate) const IN_FLIGHT: i64 = 1;
/// It was in flight when the process died.
pub(crate) const UNKNOWN: i64 = 2;

impl Small for OpenRow {
    const TABLE: Table = Table::Open;

    fn of(fields: &impl Fields, id: Id) -> Option<OpenRow> {
        let open = OpenRow {
            position: fields.position(0)? as u64,
            key: fields.digest(1)?,
            request: fields.digest(2)?,
            attempts: fields.count(3)?,
            crashes: fields.count(4)?,
            in_flight: fields.number(5)?,
            reserved: fields.bytes(6)?.to_vec(),
        };
        (fields.number(7)? == open.sum(id)).then_some(open)
    }

    fn sum(&self, id: Id) -> i64 {
        let sum = Sum::of(Table::Open, id).number(self.position as i64);
        let sum = sum.digest(self.key).digest(self.request);
        let sum = sum.number(self.attempts.into()).number(self.crashes.into());
        let sum = sum.number(self.in_flight);
        sum.bytes(Some(&self.reserved)).finish()
    }
}

impl OpenRow {
    pub(crate) fn put(&self, db: &Connection, id: Id) -> Result<i64> {
        let sum = self.sum(id);
        db.prepare_cached(schema::PUT_OPEN)?.execute(params![
            self.position as i64,
            self.key.0,
            self.request.0,
            self.attempts,
            self.crashes,
            self.in_flight,
            self.reserved,
            sum,
        ])?;
        Ok(sum)
    }

    /// What is reserved: resource, moment and amount.
    pub(crate) fn charges(&self) -> impl Iterator<Item = (i64, Wall, i64)> {
        self.reserved.chunks_exact(24).map(|charge| {
            let number = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&charge[at..at + 8]);
                i64::from_le_bytes(bytes)
            };
            (number(0), Wall(number(8)), number(16))
        })
    }
}

/// A row of `results`.
pub(crate) struct ResultRow<'a> {
    pub(crate) number: i64,
    pub(crate) position: i64,
    pub(crate) key: Digest,
    pub(crate) request: Digest,
    pub(crate) state: i64,
    pub(crate) attempts: u32,
    pub(crate) body: Option<&'a [u8]>,
}

impl<'a> ResultRow<'a> {
    /// The row, if it is what was written.
    pub(crate) fn of(fields: &'a impl Fields, id: Id) -> Option<ResultRow<'a>> {
        Self::of_any(fields).and_then(|(row, of)| (of == id).then_some(row))
    }

    /// The row, if it is what was written, of whatever journal, and which.
    pub(crate) fn of_any(fields: &'a impl Fields) -> Option<(ResultRow<'a>, Id)> {
        let sum = fields.number(7)?;
        let id = Id::of_sum(sum)?;
        let body = match fields.value(6)? {
            ValueRef::Null => None,
            ValueRef::Blob(bytes) => Some(bytes),
            _ => return None,
        };
        let row = ResultRow {
            number: fields.number(0)?,
            position: fields.position(1)?,
            key: fields.digest(2)?,
            request: fields.digest(3)?,
            state: fields.number(4)?,
            attempts: fields.count(5)?,
            body,
        };
        (sum == row.sum(id)).then_some((row, id))
    }

    fn sum(&self, id: Id) -> i64 {
        let sum = Sum::of(Table::Results, id).number(self.number);
        let sum = sum.number(self.position);
        let sum = sum.digest(self.key).digest(self.request);
        let sum = sum.number(self.state).number(self.attempts.into());
        sum.bytes(self.body).finish()
    }

    pub(crate) fn put(&self, db: &Connection, id: Id) -> Result<i64> {
        let sum = self.sum(id);
        db.prepare_cached(schema::PUT_RESULT)?.execute(params![
            self.number,
            self.position,
            self.key.0,
            self.request.0,
            self.state,
            self.attempts,
            self.body,
            sum,
        ])?;
        Ok(sum)
    }
}

/// A row of `failures`.
pub(crate) struct FailureRow {
    /// The position of the call, and the number of the failure.
    pub(crate) id: i64,
    pub(crate) failure: Failure,
}

impl FailureRow {
    /// The ids of the failures of a call: above the first, and up to the second.
    pub(crate) fn ids(position: i64) -> (i64, i64) {
        let first = position << FAILURE_BITS;
        (first, first | ((1 << FAILURE_BITS) - 1))
    }

    /// The row, if it is what was written.
    pub(crate) fn of(fields: &impl Fields, id: Id) -> Option<FailureRow> {
        let row = FailureRow {
            id: fields.number(0)?,
            failure: Failure {
                at: Wall(fields.number(1)?),
                kind: fields.text(2)?.to_owned(),
                text: fields.text(3)?.to_owned(),
            },
        };
        (fields.number(4)? == row.sum(id)).then_some(row)
    }

    pub(crate) fn sum(&self, id: Id) -> i64 {
        let sum = Sum::of(Table::Failures, id).number(self.id);
        let sum = sum.number(self.failure.at.0);
        let sum = sum.bytes(Some(self.failure.kind.as_bytes()));
        sum.bytes(Some(self.failure.text.as_bytes())).finish()
    }

    pub(crate) fn put(&self, db: &Connection, id: Id) -> Result<i64> {
        let sum = self.sum(id);
        db.prepare_cached(schema::PUT_FAILURE)?.execute(params![
            self.id,
            self.failure.at.0,
            self.failure.kind,
            self.failure.text,
            sum,
        ])?;
        Ok(sum)
    }
}

/// A row of `resources`.
#[derive(Clone, Debug)]
pub(crate) struct ResourceRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) spent: i64,
    pub(crate) paused_until: Wall,
    pub(crate) learnt: Vec<u8>,
}

impl Small for ResourceRow {
    const TABLE: Table = Table::Resources;

    fn of(fields: &impl Fields, id: Id) -> Option<ResourceRow> {
        let resource = ResourceRow {
            id: fields.number(0)?,
            name: fields.text(1)?.to_owned(),
            spent: fields.number(2).filter(|spent| *spent >= 0)?,
            paused_until: Wall(fields.number(3)?),
            learnt: fields.bytes(4)?.to_vec(),
        };
        (fields.number(5)? == resource.sum(id)).then_some(resource)
    }

    fn sum(&self, id: Id) -> i64 {
        let sum = Sum::of(Table::Resources, id).number(self.id);
        let sum = sum.bytes(Some(self.name.as_bytes())).number(self.spent);
        let sum = sum.number(self.paused_until.0);
        sum.bytes(Some(&self.learnt)).finish()
    }
}

impl ResourceRow {
    pub(crate) fn put(&self, db: &Connection, id: Id) -> Result<i64> {
        let sum = self.sum(id);
        db.prepare_cached(schema::PUT_RESOURCE)?.execute(params![
            self.id,
            self.name,
            self.spent,
            self.paused_until.0,
            self.learnt,
            sum
        ])?;
        Ok(sum)
    }
}

/// A row of `charges`; its number says nothing, and is no part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChargeRow {
    pub(crate) resource: i64,
    pub(crate) at: Wall,
    pub(crate) amount: i64,
}

impl Small for ChargeRow {
    const TABLE: Table = Table::Charges;

    fn of(fields: &impl Fields, id: Id) -> Option<ChargeRow> {
        let charge = ChargeRow {
            resource: fields.number(1)?,
            at: Wall(fields.number(2)?),
            amount: fields.number(3).filter(|amount| *amount >= 0)?,
        };
        (fields.number(4)? == charge.sum(id)).then_some(charge)
    }

    fn sum(&self, id: Id) -> i64 {
        let sum = Sum::of(Table::Charges, id).number(self.resource);
        sum.number(self.at.0).number(self.amount).finish()
    }
}

impl ChargeRow {
    pub(crate) fn put(&self, db: &Connection, id: Id) -> Result<i64> {
        let sum = self.sum(id);
        db.prepare_cached(schema::PUT_CHARGE)?.execute(params![
            self.resource,
            self.at.0,
            self.amount,
            sum
        ])?;
        Ok(sum)
    }
}

/// The row of `meta`: what the job is, as names and values.
#[derive(Default)]
pub(crate) struct JobRow(pub(crate) Vec<(String, String)>);

impl JobRow {
    /// The row, if it is what was written.
    pub(crate) fn of(fields: &impl Fields, id: Id) -> Option<JobRow> {
        let bytes = fields.bytes(1)?;
        let is_whole = fields.number(2)? == Self::sum(bytes, id);
        is_whole.then(|| Self::decoded(bytes)).flatten()
    }

    fn sum(bytes: &[u8], id: Id) -> i64 {
        Sum::of(Table::Meta, id).bytes(Some(bytes)).finish()
    }

    pub(crate) fn put(&self, db: &Connection, id: Id) -> Result<()> {
        let mut bytes = Vec::new();
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        let sum = Self::sum(&bytes, id);
        db.prepare_cached(schema::PUT_META)?
            .execute(params![bytes, sum])?;
        Ok(())
    }

    fn decoded(mut bytes: &[u8]) -> Option<JobRow> {
        let mut texts = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (text, rest) = rest.split_at_checked(length)?;
            texts.push(String::from_utf8(text.to_vec()).ok()?);
            bytes = rest;
        }
        let pairs = texts.chunks_exact(2);
        let pairs = pairs.map(|pair| (pair[0].clone(), pair[1].clone()));
        Some(JobRow(pairs.collect()))
    }
}
