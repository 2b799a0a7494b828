//! What somebody can do who knows the format: rows of his own, with checksums that are right.

use std::path::Path;

use rusqlite::Connection;

/// The tables that are added up, in their order, and the query for each.
const TABLES: [&str; 6] = [
    "calls",
    "open",
    "results",
    "failures",
    "charges",
    "resources",
];

/// Makes changes to a closed journal, and all checksums right again.
pub(crate) fn forge(path: &Path, change: &str) {
    let db = Connection::open(path).expect("there");
    db.execute_batch(change).expect("a good change");
    let id: i64 = number(&db, "SELECT sum >> 32 FROM totals");
    for table in TABLES {
        let rows: Vec<(i64, i64)> = {
            let mut rows = db
                .prepare(&format!("SELECT * FROM {table}"))
                .expect("a table");
            let names: Vec<String> = rows.column_names().map(str::to_owned).collect();
            let rows = rows.query_map([], |row| {
                let fields = 0..names.len() - 1;
                // The number of a charge is no part of it.
                let fields = fields.skip(usize::from(table == "charges"));
                let mut bytes = Vec::new();
                for at in fields {
                    add(&mut bytes, &names[at], row.get_ref(at)?);
                }
                Ok((row.get(0)?, sum(id, table, &bytes)))
            });
            rows.expect("readable")
                .map(|row| row.expect("readable"))
                .collect()
        };
        for (row, sum) in rows {
            db.execute(
                &format!("UPDATE {table} SET sum = ?2 WHERE rowid = ?1"),
                [row, sum],
            )
            .expect("possible");
        }
    }
    totals(&db, id);
}

fn totals(db: &Connection, id: i64) {
    let [calls, results] =
        ["calls", "results"].map(|table| number(db, &format!("SELECT count(*) FROM {table}")));
    let commits = number(db, "SELECT commits FROM totals");
    let sums = TABLES.map(|table| {
        number(
            db,
            &format!("SELECT coalesce(sum(sum & 4294967295), 0) FROM {table}"),
        )
    });
    let sums: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    let mut bytes: Vec<u8> = [calls, results, commits]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    bytes.extend((sums.len() as u64).to_le_bytes());
    bytes.extend(&sums);
    db.execute(
        "UPDATE totals SET calls = ?1, results = ?2, sums = ?3, sum = ?4",
        rusqlite::params![calls, results, sums, sum(id, "meta", &bytes)],
    )
    .expect("possible");
}

fn number(db: &Connection, query: &str) -> i64 {
    db.query_row(query, [], |row| row.get(0)).expect("a number")
}

/// A field as checksums take it.
fn add(bytes: &mut Vec<u8>, name: &str, value: rusqlite::types::ValueRef<'_>) {
    use rusqlite::types::ValueRef;
    let mut add = |part: &[u8]| {
        // Digests have no length before them.
        if !matches!(name, "key" | "request") {
            bytes.extend((part.len() as u64).to_le_bytes());
        }
        bytes.extend(part);
    };
    match value {
        ValueRef::Null => bytes.extend(u64::MAX.to_le_bytes()),
        ValueRef::Integer(number) => bytes.extend(number.to_le_bytes()),
        ValueRef::Text(part) | ValueRef::Blob(part) => add(part),
        ValueRef::Real(number) => bytes.extend(number.to_le_bytes()),
    }
}

fn sum(id: i64, table: &str, fields: &[u8]) -> i64 {
    let mut bytes = (id as u32).to_le_bytes().to_vec();
    bytes.extend(table.as_bytes());
    bytes.extend(fields);
    id << 32 | i64::from(crc32(&bytes))
}

/// The plainest way.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xEDB8_8320
            } else {
                sum >> 1
            };
        }
    }
    !sum
}
