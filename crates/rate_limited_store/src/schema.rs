//! The tables.

/// Says in the header of the file that it is a journal: `RLJ1`.
pub(crate) const APPLICATION: i64 = 0x524C_4A31;

/// The newest format that is known here.
pub(crate) const FORMAT: i64 = 1;

/// `calls` holds narrow rows, so that a million of them are walked in a second; `results` the wide ones,
/// from which `calls` could be made again. `results.number` has no gaps, so that a lost one is noticed.
pub(crate) const CREATE: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE totals (id INTEGER PRIMARY KEY, calls INTEGER NOT NULL, results INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE calls (position INTEGER PRIMARY KEY, key BLOB NOT NULL, request BLOB NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, number INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE open (position INTEGER PRIMARY KEY, key BLOB NOT NULL, request BLOB NOT NULL, attempts INTEGER NOT NULL, crashes INTEGER NOT NULL, in_flight INTEGER NOT NULL, reserved BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE results (number INTEGER PRIMARY KEY, position INTEGER NOT NULL, key BLOB NOT NULL, request BLOB NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, body BLOB, sum INTEGER NOT NULL);
CREATE TABLE failures (position INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (position, number)) WITHOUT ROWID;
CREATE TABLE resources (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, spent INTEGER NOT NULL, paused_until INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE charges (number INTEGER PRIMARY KEY, resource INTEGER NOT NULL, at INTEGER NOT NULL, amount INTEGER NOT NULL, sum INTEGER NOT NULL);
";

pub(crate) const PUT_META: &str = "INSERT OR REPLACE INTO meta VALUES (?1, ?2, ?3)";
pub(crate) const PUT_TOTALS: &str = "INSERT OR REPLACE INTO totals VALUES (0, ?1, ?2, ?3)";
pub(crate) const PUT_CALL: &str =
    "INSERT OR REPLACE INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(crate) const HAS_CALL: &str = "SELECT 1 FROM calls WHERE position = ?1";
pub(crate) const PUT_OPEN: &str =
    "INSERT OR REPLACE INTO open VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(crate) const DROP_OPEN: &str = "DELETE FROM open WHERE position = ?1";
pub(crate) const PUT_RESULT: &str = "INSERT INTO results VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(crate) const PUT_FAILURE: &str =
    "INSERT OR REPLACE INTO failures VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const LAST_FAILURE: &str = "SELECT max(number) FROM failures WHERE position = ?1";
pub(crate) const PUT_RESOURCE: &str =
    "INSERT OR REPLACE INTO resources VALUES (?1, ?2, ?3, ?4, ?5)";
pub(crate) const PUT_CHARGE: &str =
    "INSERT INTO charges (resource, at, amount, sum) VALUES (?1, ?2, ?3, ?4)";
pub(crate) const DROP_CHARGES: &str = "DELETE FROM charges WHERE resource = ?1 AND at < ?2";
