//! A journal is data only: whatever is in one, nothing of it is run, and what is no journal is refused.

use std::path::Path;
use std::time::Duration;

use rate_limited_store::{
    Back, Charged, Found, Journal, OpenError, Options, Record, Walk, Wall, verify,
};
use rusqlite::Connection;

use crate::forged::forge;
use crate::support::{Place, body, dispatch, end, failed, key};

const CALLS: u64 = 40;

fn options() -> Options {
    Options {
        resources: vec![
            ("requests".to_owned(), Some(Duration::from_secs(3_600))),
            ("money".to_owned(), None),
        ],
        ..Options::default()
    }
}

/// A journal with a row in each table.
fn journal() -> Place {
    let place = Place::new();
    let opened = Journal::open(&place.path(), &options()).expect("room");
    let push = |record| opened.journal.push(record).expect("open");
    for call in 0..CALLS {
        push(Record::End(end(call)));
    }
    push(Record::End(failed(CALLS)));
    push(dispatch(CALLS + 1));
    let charge = |resource| Charged {
        resource,
        at: Wall::now(),
        micros: 7,
    };
    push(Record::Charge(charge(0)));
    push(Record::Charge(charge(1)));
    let back = Back {
        position: CALLS + 2,
        key: key(CALLS + 2),
        request: key(CALLS + 2),
        attempts: 1,
        crashes: 0,
        unknown: false,
        failure: failed(0).failure,
    };
    push(Record::Back(back));
    drop(opened);
    place
}

/// What became of a journal that somebody else has had.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    Refused(String),
    Told,
    Good,
}

/// Opens it and reads all of it: nothing wrong comes back.
fn take(path: &Path, what: &str) -> Taken {
    let opened = match Journal::open(path, &options()) {
        Ok(opened) => opened,
        Err(error @ OpenError::Damaged { .. }) => return Taken::Refused(error.to_string()),
        Err(error) => panic!("{what}: {error}"),
    };
    let mut told = false;
    let mut walk = Walk::new(&opened.journal).expect("readable");
    for call in 0..CALLS {
        let Ok(found) = walk.look(key(call), key(call)) else {
            told = true;
            break;
        };
        if let Found::Over(over) = found {
            match opened.journal.read(over.number) {
                Ok(ended) => assert_eq!(ended.body, Some(body(call)), "{what}"),
                Err(_) => told = true,
            }
        }
    }
    for call in 0..CALLS + 3 {
        told |= opened.journal.failures(call).is_err();
    }
    // And it can be written on.
    let last = opened.journal.push(Record::End(end(99))).expect("open");
    told |= opened.journal.wait(last).is_err();
    drop(opened);
    told |= verify(path).is_err();
    if told { Taken::Told } else { Taken::Good }
}

#[test]
fn other_tables_are_refused_and_nothing_of_them_is_run() {
    let changes = [
        "CREATE TRIGGER t AFTER INSERT ON results BEGIN DELETE FROM calls; END",
        "CREATE TRIGGER t BEFORE DELETE ON open BEGIN SELECT raise(ABORT, 'gotcha'); END",
        "CREATE VIEW v AS SELECT load_extension('evil')",
        "CREATE TABLE more (a)",
        "CREATE INDEX i ON calls (key)",
        "CREATE INDEX i ON calls (length(key))",
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "ALTER TABLE results ADD COLUMN more",
        "ALTER TABLE results ADD COLUMN more GENERATED ALWAYS AS (length(body)) VIRTUAL",
        "ALTER TABLE results DROP COLUMN body",
        "ALTER TABLE results RENAME COLUMN body TO answer",
        "DROP TABLE failures",
        "DROP TABLE calls; CREATE VIEW calls AS SELECT 1 AS position, 2, 3, 4, 5, 6, 7",
        "DROP TABLE open; CREATE TABLE open (position INTEGER PRIMARY KEY)",
        "DROP TABLE meta; CREATE TABLE meta (id INTEGER PRIMARY KEY, job BLOB NOT NULL CHECK (abs(id) = 0), sum INTEGER NOT NULL)",
        "ANALYZE",
        "PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = sql || ' '",
        "PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = 'CREATE TABLE nothing (' || name",
        "PRAGMA writable_schema = on; UPDATE sqlite_schema SET rootpage = 2",
        "PRAGMA writable_schema = on; DELETE FROM sqlite_schema",
    ];
    for change in changes {
        let place = journal();
        let db = Connection::open(place.path()).expect("there");
        db.execute_batch(change).expect("possible");
        drop(db);
        let before = std::fs::read(place.path()).expect("there");
        let taken = take(&place.path(), change);
        assert!(matches!(taken, Taken::Refused(_)), "{change}: {taken:?}");
        assert!(verify(&place.path()).is_err(), "{change}");
        assert_eq!(
            std::fs::read(place.path()).expect("there"),
            before,
            "{change}"
        );
    }
}

/// Every column with every kind of value, checksums as they were.
#[test]
fn values_of_any_type_are_told() {
    let tables = [
        ("totals", "calls results commits sums sum"),
        ("meta", "job sum"),
        ("calls", "position key request state attempts number sum"),
        (
            "open",
            "position key request attempts crashes in_flight reserved sum",
        ),
        (
            "results",
            "number position key request state attempts body sum",
        ),
        ("failures", "id at kind text sum"),
        ("resources", "id name spent paused_until sum"),
        ("charges", "resource at amount sum"),
    ];
    let values = [
        "'text'",
        "x'00'",
        "x''",
        "1.5",
        "-1",
        "0",
        "9223372036854775807",
        "-9223372036854775807 - 1",
        "zeroblob(100000)",
        "CAST(x'ff' AS TEXT)",
        "1e300",
        "4294967296",
    ];
    let (mut tried, mut good) = (0, Vec::new());
    let original = journal();
    for (table, columns) in tables {
        for column in columns.split(' ') {
            for value in values {
                let what = format!("{table}.{column} = {value}");
                let place = Place::new();
                for suffix in ["", "-count"] {
                    let name = format!("run.journal{suffix}");
                    let from = original.folder().join(&name);
                    std::fs::copy(from, place.folder().join(&name)).expect("room");
                }
                let db = Connection::open(place.path()).expect("there");
                let change = format!(
                    "UPDATE {table} SET {column} = {value} WHERE rowid = (SELECT max(rowid) FROM {table})"
                );
                if !db.execute_batch(&change).is_ok_and(|()| db.changes() > 0) {
                    continue;
                }
                drop(db);
                tried += 1;
                if take(&place.path(), &what) == Taken::Good {
                    good.push(what);
                }
            }
        }
    }
    assert!(tried > 300, "{tried}");
    // What a change leaves as it was: `open.in_flight = 0` and six more.
    assert!(good.len() <= 7, "{good:?} of {tried} changes were not told");
}

/// Changes by somebody who makes all checksums right, and whether they are refused: `MOST` is the largest
/// number that there is.
const FORGED: [(&str, bool); 30] = [
    ("UPDATE calls SET position = -1 WHERE position = 3", true),
    ("UPDATE calls SET position = MOST WHERE position = 3", true),
    (
        "UPDATE calls SET position = 70368744177664 WHERE position = 3",
        true,
    ),
    // Far away, and possible: neither time nor memory goes into what lies between.
    (
        "UPDATE calls SET position = 35184372088831 WHERE position = 3",
        false,
    ),
    ("UPDATE open SET position = MOST WHERE position = 41", true),
    ("UPDATE open SET attempts = 4294967296", true),
    ("UPDATE open SET crashes = 4294967295", false),
    ("UPDATE open SET reserved = zeroblob(5)", false),
    ("UPDATE open SET reserved = randomblob(24000)", false),
    ("UPDATE open SET reserved = zeroblob(1000000)", false),
    ("UPDATE open SET in_flight = 77", false),
    ("UPDATE charges SET amount = -5", true),
    ("UPDATE charges SET amount = MOST, at = MOST", false),
    ("UPDATE charges SET resource = MOST", false),
    ("UPDATE resources SET spent = -5", true),
    (
        "UPDATE resources SET spent = MOST, paused_until = MOST",
        false,
    ),
    ("UPDATE resources SET id = MOST WHERE id = 1", false),
    ("UPDATE resources SET name = 'money'", false),
    ("UPDATE resources SET name = char(27) || '[31m'", false),
    ("UPDATE results SET number = MOST WHERE number = 41", true),
    ("UPDATE results SET number = -7 WHERE number = 1", true),
    ("DELETE FROM results WHERE number = 20", true),
    ("UPDATE charges SET number = MOST WHERE number = 2", false),
    ("DELETE FROM results", false),
    ("UPDATE calls SET state = 9 WHERE position = 3", true),
    ("UPDATE calls SET number = -3 WHERE position = 3", false),
    ("UPDATE calls SET number = 5 WHERE position = 3", false),
    ("DELETE FROM calls", false),
    (
        "UPDATE failures SET id = -1 WHERE id = (SELECT max(id) FROM failures)",
        false,
    ),
    (
        "UPDATE failures SET text = printf('%.1000000c', 'x')",
        false,
    ),
];

/// Who makes all checksums right says what he likes, and does no more than that.
#[test]
fn forged_rows_do_no_harm() {
    for (change, is_refused) in FORGED {
        let change = change.replace("MOST", "9223372036854775807");
        let place = journal();
        // The count would tell that results are gone.
        std::fs::remove_file(place.folder().join("run.journal-count")).expect("there");
        forge(&place.path(), &change);
        let opened = Journal::open(&place.path(), &options());
        assert_eq!(opened.is_err(), is_refused, "{change}: {opened:?}");
        let Ok(opened) = opened else {
            assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{change}");
            continue;
        };
        let mut walk = Walk::new(&opened.journal).expect("readable");
        for call in (0..CALLS + 9).rev() {
            if let Ok(Found::Over(over)) = walk.look(key(call), key(call)) {
                let _ = opened.journal.read(over.number);
            }
            let _ = opened.journal.failures(call);
        }
        assert!(walk.census().gone <= CALLS + 9, "{change}");
        let last = opened.journal.push(Record::End(end(99))).expect("open");
        let _ = opened.journal.wait(last);
        drop(opened);
        let _ = verify(&place.path());
        rate_limited_store::salvage(&place.path()).expect("there is something in it");
    }
}

/// The forger's tool makes nothing wrong by itself.
#[test]
fn a_journal_that_was_forged_as_it_was_is_good() {
    let place = journal();
    forge(&place.path(), "SELECT 1");
    assert_eq!(take(&place.path(), "nothing"), Taken::Good);
}

/// A log of another program would be played back into the file.
#[test]
fn a_log_of_another_program_is_refused() {
    let place = journal();
    let log = place.folder().join("run.journal-journal");
    std::fs::write(&log, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7").expect("room");
    let before = std::fs::read(place.path()).expect("there");
    let error = Journal::open(&place.path(), &options()).expect_err("refused");
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_eq!(std::fs::read(place.path()).expect("there"), before);
    assert!(log.is_file());
}

/// Neither a pipe that nobody writes to nor a device is waited for.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let place = Place::new();
    let path = place.path();
    std::fs::create_dir(&path).expect("room");
    assert!(Journal::open(&path, &options()).is_err());
    std::fs::remove_dir(&path).expect("ours");
    for suffix in ["", "-count", "-ballast"] {
        let pipe = place.folder().join(format!("run.journal{suffix}"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("a program").success());
        let error = Journal::open(&path, &options()).expect_err("a pipe");
        assert!(error.to_string().contains("no ordinary file"), "{error}");
        assert!(verify(&path).is_err());
        std::fs::remove_file(&pipe).expect("ours");
    }
}
