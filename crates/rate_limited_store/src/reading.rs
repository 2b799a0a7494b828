//! Results and failures on their way back.

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::error::{Damage, JournalError, Table};
use crate::record::{Ended, Failure, Position, State};
use crate::rows::{CallRow, FailureRow, Fields, ResultRow, WRONG_SUM};
use crate::sum::Id;

/// The result of that number.
pub(crate) fn read(db: &Connection, id: Id, number: u64) -> Result<Ended, JournalError> {
    let number = number as i64;
    let damage = |what: &str| JournalError::Damaged(damage(Table::Results, number, what));
    let found = db
        .prepare_cached("SELECT * FROM results WHERE number = ?1")?
        .query_row([number], |row| Ok(result(row, id)))
        .optional();
    match found {
        Ok(Some(Some((_, ended)))) => Ok(ended),
        Ok(Some(None)) => Err(damage(WRONG_SUM)),
        Ok(None) => Err(damage("it is missing")),
        Err(error) if is_damage(&error) => Err(damage(&error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Whether the result of that number is this one.
pub(crate) fn is_result(db: &Connection, number: u64, body: &[u8]) -> Result<bool, JournalError> {
    let found = db
        .prepare_cached("SELECT body FROM results WHERE number = ?1")?
        .query_row([number as i64], |row| Ok(row.bytes(0) == Some(body)))
        .optional();
    Ok(found?.unwrap_or(false))
}

/// Whether any of these is a result.
pub(crate) fn has_result(db: &Connection, bodies: &[&[u8]]) -> Result<bool, JournalError> {
    let places = vec!["?"; bodies.len()].join(", ");
    let sql = format!("SELECT EXISTS (SELECT 1 FROM results WHERE body IN ({places}))");
    let found = db.query_row(&sql, params_from_iter(bodies), |row| row.get(0))?;
    Ok(found)
}

/// The latest result of a call.
pub(crate) fn latest(db: &Connection, id: Id, position: Position) -> Result<Ended, JournalError> {
    let position = position as i64;
    let damage = |what: &str| JournalError::Damaged(damage(Table::Calls, position, what));
    let found = db
        .prepare_cached("SELECT * FROM calls WHERE position = ?1")?
        .query_row([position], |row| Ok(CallRow::of(row, id)))
        .optional();
    match found {
        Ok(Some(Some(call))) => read(db, id, call.number as u64),
        Ok(Some(None)) => Err(damage(WRONG_SUM)),
        Ok(None) => Err(damage("it is missing")),
        Err(error) if is_damage(&error) => Err(damage(&error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// A row of `results` as it was written, with its number; `None` if it is not.
pub(crate) fn result(fields: &impl Fields, id: Id) -> Option<(u64, Ended)> {
    let found = ResultRow::of(fields, id)?;
    let ended = Ended {
        position: found.position as u64,
        key: found.key,
        request: found.request,
        state: State::of(found.state)?,
        attempts: found.attempts,
        body: found.body.map(<[u8]>::to_vec),
    };
    Some((found.number as u64, ended))
}

/// What went wrong with the attempts of a call, in order.
pub(crate) fn failures(
    db: &Connection,
    id: Id,
    position: Position,
) -> Result<Vec<Failure>, JournalError> {
    let position = position as i64;
    let (before, most) = FailureRow::ids(position);
    let damage = |what: &str| JournalError::Damaged(self::damage(Table::Failures, position, what));
    let failed = |error: rusqlite::Error| {
        if is_damage(&error) {
            damage(&error.to_string())
        } else {
            error.into()
        }
    };
    let mut rows = db
        .prepare_cached("SELECT * FROM failures WHERE id > ?1 AND id <= ?2 ORDER BY id")
        .map_err(failed)?;
    let mut rows = rows.query([before, most]).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let row = failure(row, id).ok_or_else(|| damage(WRONG_SUM))?;
        if row.id != before + 1 + found.len() as i64 {
            return Err(damage("one of them is missing"));
        }
        found.push(row.failure);
    }
    Ok(found)
}

fn failure(row: &Row<'_>, id: Id) -> Option<FailureRow> {
    FailureRow::of(row, id)
}

fn damage(table: Table, row: i64, what: &str) -> Damage {
    Damage {
        table,
        row: Some(row),
        what: what.to_owned(),
    }
}

/// Whether an error of the database says that the file is not what was written.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    // The file ends where a page should be.
    const SHORT_READ: i32 = 0x0A | 2 << 8;
    if matches!(error, rusqlite::Error::SqliteFailure(error, _) if error.extended_code == SHORT_READ)
    {
        return true;
    }
    match error.sqlite_error_code() {
        Some(code) => matches!(code, DatabaseCorrupt | NotADatabase) || is_of_the_schema(error),
        // A value of another type, a row or a table that is not there.
        None => true,
    }
}

fn is_of_the_schema(error: &rusqlite::Error) -> bool {
    let text = error.to_string();
    ["no such", "malformed", "unsupported file format"]
        .iter()
        .any(|words| text.contains(words))
}
