//! The tables.

/// Says in the header of the file that it is a journal: `RLJ1`.
pub(crate) const APPLICATION: i64 = 0x524C_4A31;

/// The newest format that is known here.
pub(crate) const FORMAT: i64 = 1;

/// The bytes of a page.
pub(crate) const PAGE: usize = 4_096;

/// All positions of calls are below this: what lies above was not written here.
pub(crate) const POSITIONS: i64 = 1 << 46;

/// `calls` holds narrow rows, so that a million of them are walked in a second; `results` the wide ones,
/// from which `calls` could be made again. `results.number` has no gaps, so that a lost one is noticed.
/// `failures.id` is the position of the call, shifted by [`FAILURE_BITS`], and a number from 1. `totals`
/// has the number of rows of the others, and what their checksums add up to, so that a page of yesterday
/// is noticed. A file that has other tables than these is no journal: no text in it is ever run.
pub(crate) const TABLES: [(&str, &str); 8] = [
    (
        "totals",
        "CREATE TABLE totals (id INTEGER PRIMARY KEY, calls INTEGER NOT NULL, results INTEGER NOT NULL, commits INTEGER NOT NULL, sums BLOB NOT NULL, sum INTEGER NOT NULL)",
    ),
    (
        "meta",
        "CREATE TABLE meta (id INTEGER PRIMARY KEY, job BLOB NOT NULL, sum INTEGER NOT NULL)",
    ),
    (
        "calls",
        "CREATE TABLE calls (position INTEGER PRIMARY KEY, key BLOB NOT NULL, request BLOB NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, number INTEGER NOT NULL, sum INTEGER NOT NULL)",
    ),
    (
        "open",
        "CREATE TABLE open (position INTEGER PRIMARY KEY, key BLOB NOT NULL, request BLOB NOT NULL, attempts INTEGER NOT NULL, crashes INTEGER NOT NULL, in_flight INTEGER NOT NULL, reserved BLOB NOT NULL, sum INTEGER NOT NULL)",
    ),
    (
        "results",
        "CREATE TABLE results (number INTEGER PRIMARY KEY, position INTEGER NOT NULL, key BLOB NOT NULL, request BLOB NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, body BLOB, sum INTEGER NOT NULL)",
    ),
    (
        "failures",
        "CREATE TABLE failures (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, sum INTEGER NOT NULL)",
    ),
    (
        "resources",
        "CREATE TABLE resources (id INTEGER PRIMARY KEY, name TEXT NOT NULL, spent INTEGER NOT NULL, paused_until INTEGER NOT NULL, learnt BLOB NOT NULL, sum INTEGER NOT NULL)",
    ),
    (
        "charges",
        "CREATE TABLE charges (number INTEGER PRIMARY KEY, resource INTEGER NOT NULL, at INTEGER NOT NULL, amount INTEGER NOT NULL, sum INTEGER NOT NULL)",
    ),
];

/// The bits of `failures.id` that number the failures of a call.
pub(crate) const FAILURE_BITS: u32 = 16;

pub(crate) const PUT_META: &str = "INSERT OR REPLACE INTO meta VALUES (0, ?1, ?2)";
pub(crate) const PUT_TOTALS: &str = "INSERT OR REPLACE INTO totals VALUES (0, ?1, ?2, ?3, ?4, ?5)";
pub(crate) const PUT_CALL: &str =
    "INSERT OR REPLACE INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(crate) const SUM_OF_CALL: &str = "SELECT sum FROM calls WHERE position = ?1";
pub(crate) const PUT_OPEN: &str =
    "INSERT OR REPLACE INTO open VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(crate) const SUM_OF_OPEN: &str = "SELECT sum FROM open WHERE position = ?1";
pub(crate) const DROP_OPEN: &str = "DELETE FROM open WHERE position = ?1";
pub(crate) const PUT_RESULT: &str = "INSERT INTO results VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(crate) const PUT_FAILURE: &str = "INSERT INTO failures VALUES (?1, ?2, ?3, ?4, ?5)";
pub(crate) const LAST_FAILURE: &str = "SELECT max(id) FROM failures WHERE id > ?1 AND id <= ?2";
pub(crate) const PUT_RESOURCE: &str =
    "INSERT OR REPLACE INTO resources VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const PUT_CHARGE: &str =
    "INSERT INTO charges (resource, at, amount, sum) VALUES (?1, ?2, ?3, ?4)";
pub(crate) const DROP_CHARGES: &str = "DELETE FROM charges WHERE resource = ?1 AND at < ?2";
