use std::fs;
use std::path::PathBuf;

use rate_limited_cli::reading::bad_line::BadLinePolicy::{self, Fail, Record, Skip};
use rate_limited_cli::reading::input::{InputError, Item, Reader};
use rate_limited_cli::reading::scan::{BAD_LINES_SHOWN, Scan, scan_file, scan_file_each};
use tempfile::TempDir;

struct Input {
    _folder: TempDir,
    path: PathBuf,
}

fn input(text: impl AsRef<[u8]>) -> Input {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.jsonl");
    fs::write(&path, text).expect("room");
    Input {
        _folder: folder,
        path,
    }
}

fn scan(input: &Input, policy: BadLinePolicy) -> Scan {
    scan_file(&input.path, policy).expect("a file that can be read")
}

fn message(input: &Input) -> String {
    let error = scan_file(&input.path, Fail)
        .expect_err("refused")
        .to_string();
    error.replace(&input.path.display().to_string(), "FILE")
}

const NAMED: &str = "{\"custom_id\":\"a\",\"body\":{}}\n{\"custom_id\":\"b\",\"body\":{}}\n";

#[test]
fn a_good_file_is_counted_and_read_again() {
    let input = input(format!("{NAMED}\n{{\"x\":1}}"));
    let mut lines = Vec::new();
    let scan = scan_file_each(&input.path, Fail, |request| lines.push(request.line)).expect("good");
    assert_eq!(
        (scan.requests, scan.lines, scan.blank, scan.bad_total),
        (3, 4, 1, 0)
    );
    assert_eq!(scan.bytes, fs::metadata(&input.path).expect("there").len());
    assert_eq!(lines, [1, 2, 4]);
    let read = Reader::open(&scan)
        .expect("there")
        .collect::<Result<Vec<_>, _>>()
        .expect("good");
    assert_eq!(read.len(), 3);
}

#[test]
fn files_of_nothing_have_no_requests() {
    for text in ["", "\n\n \r\n", "\u{feff}", "\u{feff}\n"] {
        assert_eq!(scan(&input(text), Fail).requests, 0, "{text:?}");
    }
}

#[test]
fn plain_text_is_told_how_it_is_made_rows_of() {
    let told = message(&input("a heron\na moth\n"));
    assert!(told.contains("jq -R -c '{line: .}'"), "{told}");
    let elsewhere = message(&input("{\"a\": 1}\na moth\n"));
    assert!(!elsewhere.contains("jq"), "{elsewhere}");
}

#[test]
fn the_first_twenty_bad_lines_are_named() {
    let good_and_bad = "{\"a\":1}\n{oops}\n".repeat(BAD_LINES_SHOWN + 1_003);
    let input = input(good_and_bad);
    let message = message(&input);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 1 + BAD_LINES_SHOWN + 2);
    assert_eq!(lines[0], "the input FILE has 1,023 bad lines:");
    assert_eq!(
        lines[1],
        "  line 2, column 2 (byte 9): not valid JSON: key must be a string"
    );
    assert_eq!(lines[21], "  … and 1,003 more");
    assert_eq!(
        lines[22],
        "mend them, or pass --on-bad-line skip or --on-bad-line record"
    );
}

#[test]
fn under_the_other_policies_bad_lines_are_counted() {
    let input = input(format!("{{oops}}\n{NAMED}[]\n"));
    for policy in [Skip, Record] {
        let scan = scan(&input, policy);
        assert_eq!((scan.requests, scan.bad_total, scan.bad.len()), (2, 2, 2));
        let bad = Reader::open(&scan)
            .expect("there")
            .filter_map(|item| match item {
                Ok(Item::Bad(bad)) => Some(bad.line),
                _ => None,
            });
        assert_eq!(bad.collect::<Vec<_>>(), [1, 4]);
    }
    assert!(message(&input).starts_with("the input FILE has 2 bad lines:\n  line 1,"));
}

#[test]
fn a_name_used_twice_names_both_lines() {
    let input = input(format!("{NAMED}[]\n{NAMED}"));
    assert_eq!(
        message(&input),
        "the input FILE has 3 bad lines:\n  \
         line 3, column 1 (byte 56): a line must be a JSON object, not a list\n  \
         line 4, column 14 (byte 72): custom_id 'a' is already that of line 1: give each line its own\n  \
         line 5, column 14 (byte 100): custom_id 'b' is already that of line 2: give each line its own\n\
         mend them, or pass --on-bad-line skip or --on-bad-line record"
    );
    let scan = scan(&input, Skip);
    assert_eq!((scan.requests, scan.bad_total), (2, 3));
    let read: Vec<_> = Reader::open(&scan)
        .expect("there")
        .collect::<Result<_, _>>()
        .expect("good");
    let bad: Vec<bool> = read
        .iter()
        .map(|item| matches!(item, Item::Bad(_)))
        .collect();
    assert_eq!(bad, [false, false, true, true, true]);
}

#[test]
fn a_name_that_a_nameless_line_has_is_used_twice() {
    let named = |id: &str| format!("{{\"custom_id\":\"{id}\",\"body\":{{}}}}\n");
    let clash = input(format!(
        "{{\"x\":1}}\n{}{}",
        named("line-1"),
        named("line-4")
    ));
    assert!(message(&clash).contains("custom_id 'line-1' is already that of line 1"));
    assert_eq!(scan(&clash, Skip).bad_total, 1);
    // On its own line, and where the other line has a name or is not there, it is nobody else's.
    let fine = input(format!(
        "{}{}{}\n{{\"x\":1}}\n",
        named("line-1"),
        named("line-4"),
        named("line-03")
    ));
    assert_eq!(scan(&fine, Fail).requests, 4);
}

#[test]
fn what_cannot_be_read_twice_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |path: &std::path::Path| {
        let error = scan_file(path, Fail).expect_err("refused");
        error.to_string()
    };
    let error = refused(folder.path());
    assert!(
        error.ends_with(" is a folder: name a file in it"),
        "{error}"
    );
    #[cfg(unix)]
    assert_eq!(
        refused("/dev/null".as_ref()),
        "the input /dev/null is not a regular file, and it is read twice: pass - and send it to \
         standard input instead"
    );
    let missing = scan_file(&folder.path().join("none"), Fail)
        .expect_err("missing")
        .to_string();
    assert!(
        missing.starts_with("failed to open the input "),
        "{missing}"
    );
}

#[test]
fn packed_files_are_recognised() {
    assert_eq!(
        message(&input(b"\x1f\x8b\x08\x00")),
        "the input FILE is compressed with gzip: unpack it first, for example gzip -dc FILE | \
         rate-limited run -"
    );
    assert!(message(&input(b"\x28\xb5\x2f\xfd\x00")).contains("compressed with zstd"));
}

#[test]
fn a_change_between_scan_and_reading_is_found() {
    let input = input(NAMED);
    let scan = scan(&input, Fail);
    fs::write(&input.path, format!("{NAMED}{{\"x\":1}}\n")).expect("room");
    let error = Reader::open(&scan).expect_err("changed");
    assert!(matches!(error, InputError::Changed(_)), "{error}");
}

#[test]
fn a_change_while_reading_is_found_at_the_end() {
    let input = input(NAMED);
    let scan = scan(&input, Fail);
    let mut reader = Reader::open(&scan).expect("unchanged");
    assert!(matches!(reader.next(), Some(Ok(Item::Request(_)))));
    let file = fs::OpenOptions::new()
        .append(true)
        .open(&input.path)
        .expect("there");
    file.set_len(scan.bytes + 40).expect("room");
    let end: Vec<_> = reader.collect();
    let Some(Err(InputError::Changed(path))) = end.last() else {
        panic!("{end:?}")
    };
    assert_eq!(*path, input.path);
}

#[test]
fn a_file_put_in_its_place_is_found() {
    let input = input(NAMED);
    let scan = scan(&input, Fail);
    let other = input.path.with_extension("new");
    fs::write(&other, NAMED).expect("room");
    fs::rename(&other, &input.path).expect("one folder");
    assert!(matches!(Reader::open(&scan), Err(InputError::Changed(_))));
}
