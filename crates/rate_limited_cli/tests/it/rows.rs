//! Tables and objects with a prompt: what is sent, what comes out, what is refused, what is gone on with.

use std::fs;
use std::process::Stdio;

use rate_limited_sim::ApiModel;

use crate::world::{Outcome, World, feed, spawn};

/// A table as spreadsheets write it.
const TABLE: &str = "\u{feff}id,text,\"note, if any\"\r\n\
    a,\"two\r\nlines, and \"\"quotes\"\"\",\r\n\
    b,5\" pipe,x\r\n\
    \r\n\
    ,,\r\n\
    c,last,\"\"";

const ASK: [&str; 2] = ["--prompt", "Say {{text}}"];

fn run(world: &World, files: [&str; 2], args: &[&str]) -> Outcome {
    let all = [&["run", files[0], "-o", files[1]], args].concat();
    world.run_command(&all)
}

fn write(world: &World, name: &str, text: impl AsRef<[u8]>) {
    fs::write(world.path(name), text).expect("room");
}

fn read(world: &World, name: &str) -> String {
    fs::read_to_string(world.path(name)).expect(name)
}

/// The records of a table, by a reader of its own.
fn cells(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(character) = chars.next() {
        match character {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            _ if character == delimiter && !quoted => row.push(std::mem::take(&mut cell)),
            _ => cell.push(character),
        }
    }
    assert!(cell.is_empty() && row.is_empty(), "an open end: {text}");
    rows
}

fn column(rows: &[Vec<String>], place: usize) -> Vec<&str> {
    rows.iter().map(|row| row[place].as_str()).collect()
}

#[test]
fn a_table_comes_out_with_its_answers() {
    for (input, output, delimiter, args) in [
        ("in.csv", "out.csv", ',', &[][..]),
        ("in.csv", "-", ',', &[]),
        (
            "in.txt",
            "out.txt",
            ';',
            &["--input-format", "csv", "--delimiter", ";"],
        ),
        ("in.TSV", "out.tsv", '\t', &[]),
        ("in.tab", "out.csv", ',', &[]),
    ] {
        let world = World::slow(0);
        let to = match input {
            "in.TSV" | "in.tab" => '\t',
            _ => delimiter,
        };
        let text = TABLE
            .replace("lines, and", "lines\u{1} and")
            .replace(',', &to.to_string());
        let text = text.replace("note\t", "note,").replace("note;", "note,");
        write(&world, input, text.replace('\u{1}', ","));
        let outcome = run(&world, [input, output], &[&ASK[..], args].concat());
        assert_eq!(outcome.code, Some(0), "{input}: {}", outcome.stderr);
        let found = match output {
            "-" => outcome.stdout,
            file => read(&world, file),
        };
        let rows = cells(&found, delimiter);
        let added = ["answer", "error", "attempts", "tokens"];
        assert_eq!(
            rows[0],
            [&["id", "text", "note, if any"][..], &added].concat()
        );
        assert_eq!(column(&rows[1..], 0), ["a", "b", "c"], "{found}");
        assert_eq!(
            column(&rows[1..], 1),
            ["two\r\nlines, and \"quotes\"", "5\" pipe", "last"]
        );
        assert_eq!(column(&rows[1..], 2), ["", "x", ""]);
        for row in &rows[1..] {
            assert!(
                !row[3].is_empty() && row[6].parse::<u64>().is_ok(),
                "{row:?}"
            );
            assert_eq!((row[4].as_str(), row[5].as_str()), ("", "1"));
        }
        assert_eq!(world.stats().arrivals, 3);
    }
}

#[test]
fn other_inputs_and_outputs_have_json_lines() {
    let world = World::slow(0);
    write(&world, "in.csv", TABLE);
    let outcome = run(&world, ["in.csv", "out.jsonl"], &ASK);
    let outcome = Outcome {
        lines: lines(&world),
        ..outcome
    };
    outcome.expect(0, 3);
    assert_eq!(outcome.all("/custom_id"), ["a", "b", "c"]);
    write(
        &world,
        "in.jsonl",
        "{\"text\": 1, \"id\": 7}\n\n{\"id\": \"x\", \"text\": null}\n",
    );
    let outcome = run(
        &world,
        ["in.jsonl", "out.jsonl"],
        &[&ASK[..], &["--fresh"]].concat(),
    );
    let outcome = Outcome {
        lines: lines(&world),
        ..outcome
    };
    outcome.expect(0, 2);
    assert_eq!(outcome.all("/custom_id"), ["7", "x"]);
}

fn lines(world: &World) -> Vec<serde_json::Value> {
    let parse = |line| serde_json::from_str(line).expect("a line of JSON");
    read(world, "out.jsonl").lines().map(parse).collect()
}

#[test]
fn standard_input_may_be_a_table() {
    let world = World::slow(0);
    let args = ["run", "-", "--input-format", "csv", "-o", "out.csv"];
    for round in 0..2 {
        let mut command = world.command(&[&args[..], &ASK].concat());
        command.stdin(Stdio::piped());
        let mut child = spawn(command);
        feed(&mut child, TABLE);
        let output = child.wait_with_output().expect("it runs");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let rows = cells(&read(&world, "out.csv"), ',');
        assert_eq!(column(&rows, 0), ["id", "a", "b", "c"], "round {round}");
    }
    assert_eq!(world.stats().arrivals, 3);
}

/// Each ends with 2 before anything is sent or made.
#[track_caller]
fn refused(name: &str, text: &[u8], args: &[&str], told: &[&str]) {
    let world = World::slow(0);
    write(&world, name, text);
    let output = if args.contains(&"-o") {
        &[][..]
    } else {
        &["-o", "out.csv"]
    };
    let outcome = world.run_command(&[&["run", name], output, args].concat());
    assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
    for part in told {
        assert!(
            outcome.stderr.contains(part),
            "{args:?}: {}",
            outcome.stderr
        );
    }
    assert_eq!(world.stats().arrivals, 0);
    let made = fs::read_dir(world.path("")).expect("a folder").count();
    assert_eq!(made, 1, "{args:?} left a file behind");
}

#[test]
fn what_cannot_be_asked_is_told_before_anything_is_sent() {
    let small = b"id,text\n1,cat\n";
    let csv = |args: &[&str], told: &[&str]| refused("in.csv", small, args, told);
    csv(
        &[],
        &["rows, not requests", "--prompt", "columns are id, text"],
    );
    csv(
        &["--prompt", "{{txt}}"],
        &[
            "--prompt names 'txt'",
            "header of in.csv in line 1",
            "name one of id, text",
        ],
    );
    csv(
        &["--prompt", "{{text}}", "--system", "{{who}}"],
        &["--system names 'who'"],
    );
    csv(
        &["--prompt", "{{text}}", "--id", "nr"],
        &["--id names 'nr'"],
    );
    csv(&["--prompt", "hello"], &["names no column", "{{column}}"]);
    csv(
        &["--prompt", "{{text"],
        &["in --prompt, the {{ at character 1 is never closed"],
    );
    csv(&["--prompt", "@none.txt"], &["file 'none.txt' of --prompt"]);
    csv(
        &["--prompt", "{{text}}", "--body", "[1]"],
        &["--body is no JSON object"],
    );
    csv(
        &["--prompt", "{{text}}", "--body", "{\"messages\": []}"],
        &["--body sets 'messages'"],
    );
    csv(
        &[
            "--prompt",
            "{{text}}",
            "--body",
            "{\"max_tokens\": 5}",
            "--max-tokens",
            "9",
        ],
        &["--body sets 'max_tokens'"],
    );
    csv(
        &[
            "--prompt",
            "{{text}}",
            "--endpoint",
            "/v1/images/generations",
        ],
        &[
            "not known what /v1/images/generations takes",
            "/chat/completions",
        ],
    );
    csv(
        &[
            "--prompt",
            "{{text}}",
            "--endpoint",
            "/v1/embeddings",
            "--system",
            "x",
        ],
        &["takes no system prompt"],
    );
}

#[test]
fn what_cannot_be_read_or_written_is_told_before_anything_is_sent() {
    let csv = |args: &[&str], told: &[&str]| refused("in.csv", b"id,text\n1,cat\n", args, told);
    csv(&["--prompt", "{{text}}", "-o", "in.csv"], &["same file"]);
    refused(
        "in.jsonl",
        b"{\"a\": 1}\n",
        &["--prompt", "{{a}}"],
        &["would be a table"],
    );
    refused(
        "in.jsonl",
        b"{\"a\": 1}\n",
        &["--model", "m", "-o", "x"],
        &["--model is for --prompt"],
    );
    refused(
        "in.csv",
        b"a;b\n1;2\n",
        &["--prompt", "{{b}}"],
        &["pass --delimiter ';'"],
    );
    refused(
        "in.csv",
        b"b,b\n1,2\n",
        &["--prompt", "{{b}}"],
        &["twice, as columns 1 and 2"],
    );
    refused(
        "in.csv",
        b"b,answer\n1,2\n",
        &["--prompt", "{{b}}"],
        &["column 'answer' already"],
    );
    refused("in.csv", b"", &["--prompt", "{{b}}"], &["in.csv is empty"]);
    refused(
        "in.csv",
        b"a\xff,b\n",
        &["--prompt", "{{b}}"],
        &["header of in.csv in line 1", "UTF-8"],
    );
    refused(
        "in.csv",
        b"b\n",
        &["--prompt", "{{b}}"],
        &["has no requests"],
    );
}

/// Rows 2, 5, 7, 9 and 10 are none.
const BAD: &[u8] = b"id,text\n1,good\n2,too,many\n3,\"one\nmore\"\n4\n5,good\n6,\xff\n7,good\n7,again\n ,nameless\n\
    8,good\n9,\"open\n";

#[test]
fn bad_rows_are_told_with_their_lines_left_out_or_recorded() {
    let world = World::slow(0);
    write(&world, "in.csv", BAD);
    let outcome = run(&world, ["in.csv", "out.csv"], &ASK);
    assert_eq!((outcome.code, world.stats().arrivals), (Some(2), 0));
    let told = [
        "line 3, column 1 (byte 15): the row has 3 cells, and the header 2",
        "line 6, column 1 (byte 39): the row has 1 cell, and the header 2",
        "line 8, column 1 (byte 48): the byte 0xff is not valid UTF-8",
        "line 10, column 1 (byte 59): custom_id '7' is already that of line 9",
        "name another column with --id, or pass --no-id",
        "line 11, column 1 (byte 67): the column 'id' of names is empty",
        "line 13, column 1 (byte 85): a quote opens in this row",
    ];
    for part in told {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    let skip = [&ASK[..], &["--on-bad-line", "skip"]].concat();
    let outcome = run(&world, ["in.csv", "left.csv"], &skip);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let rows = cells(&read(&world, "left.csv"), ',');
    assert_eq!(column(&rows, 0), ["id", "1", "3", "5", "7", "8"]);
    let record = [&ASK[..], &["--on-bad-line", "record"]].concat();
    // The second run finds all lines as they have to be.
    for _ in 0..2 {
        let outcome = run(&world, ["in.csv", "all.csv"], &record);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        let rows = cells(&read(&world, "all.csv"), ',');
        assert!(rows.iter().all(|row| row.len() == 6));
        assert_eq!(
            column(&rows, 0),
            ["id", "1", "2", "3", "4", "5", "6", "7", "7", " ", "8", ""]
        );
        let errors = column(&rows[1..], 3);
        let bad = errors
            .iter()
            .filter(|error| error.starts_with("bad_line: line "));
        assert_eq!(
            (
                bad.count(),
                errors.iter().filter(|it| it.is_empty()).count()
            ),
            (6, 5)
        );
    }
    assert_eq!(world.stats().arrivals, 10);
}

#[test]
fn a_killed_run_over_a_table_goes_on_and_asks_nothing_twice() {
    let world = World::new(
        ApiModel::new(3).latency(rate_limited_sim::Latency::Constant(
            std::time::Duration::from_millis(30),
        )),
    );
    let rows: Vec<_> = (1..=120).map(|n| format!("{n},\"poem\n{n}\"")).collect();
    write(&world, "in.csv", format!("id,text\n{}\n", rows.join("\n")));
    let args = ["run", "in.csv", "-o", "out.csv", "--max-concurrent", "4"];
    let all = [&args[..], &ASK].concat();
    for round in 1..=4 {
        let mut child = spawn(world.command(&all));
        world.wait_for_arrivals(round * 24);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        // A torn write at any place, be it within a cell or the header.
        let out = fs::OpenOptions::new()
            .write(true)
            .open(world.path("out.csv"));
        let out = out.expect("an output");
        let length = out.metadata().expect("a file").len();
        let torn = [length / 2, 7, length - length.min(3), length][round as usize - 1];
        out.set_len(torn).expect("room");
    }
    let outcome = world.run_command(&all);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let text = read(&world, "out.csv");
    let found = cells(&text, ',');
    let expected: Vec<String> = (1..=120).map(|n| n.to_string()).collect();
    assert_eq!(column(&found[1..], 0), expected);
    assert!(
        found[1..]
            .iter()
            .all(|row| !row[2].is_empty() && row[3].is_empty())
    );
    // Only what was in flight at a kill may have been sent twice.
    assert!(world.stats().arrivals <= 120 + 4 * 4, "{:?}", world.stats());
    let arrivals = world.stats().arrivals;
    let again = world.run_command(&all);
    assert_eq!((again.code, read(&world, "out.csv")), (Some(0), text));
    assert_eq!(world.stats().arrivals, arrivals);
}

#[test]
fn edited_prompts_and_rows_are_found_and_new_columns_cost_nothing() {
    let world = World::slow(0);
    let run = |text: &str, args: &[&str]| {
        write(&world, "in.csv", text);
        run(&world, ["in.csv", "out.csv"], args)
    };
    let sent = || world.stats().arrivals;
    assert_eq!(run("id,text\n1,cat\n2,dog\n", &ASK).code, Some(0));
    assert_eq!(sent(), 2);
    // Another column and another order: the answers are there.
    let outcome = run("text,id,more\ndog,2,x\ncat,1,y\n", &ASK);
    assert_eq!((outcome.code, sent()), (Some(0), 2), "{}", outcome.stderr);
    let rows = cells(&read(&world, "out.csv"), ',');
    assert_eq!(rows[0][..4], ["text", "id", "more", "answer"]);
    assert_eq!(
        (column(&rows, 1), column(&rows, 2)),
        (vec!["id", "2", "1"], vec!["more", "x", "y"])
    );
    // The same names ask something else.
    let text = "id,text\n1,cat\n2,dog\n3,bee\n";
    for args in [
        &["--prompt", "Sing {{text}}"][..],
        &[&ASK[..], &["--system", "Be brief"]].concat(),
        &[&ASK[..], &["--model", "other"]].concat(),
    ] {
        let outcome = run(text, args);
        assert_eq!((outcome.code, sent()), (Some(2), 2), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("--on-change rerun"),
            "{}",
            outcome.stderr
        );
    }
    let outcome = run(
        text,
        &[&ASK[..], &["--system", "Be brief", "--on-change", "rerun"]].concat(),
    );
    assert_eq!((outcome.code, sent()), (Some(0), 5), "{}", outcome.stderr);
    assert_eq!(
        column(&cells(&read(&world, "out.csv"), ','), 0),
        ["id", "1", "2", "3"]
    );
}

#[test]
fn a_table_that_is_not_of_the_journal_is_left_alone() {
    let world = World::slow(0);
    write(&world, "in.csv", "id,text\n1,cat\n");
    assert_eq!(run(&world, ["in.csv", "out.csv"], &ASK).code, Some(0));
    for other in [
        "id,text\n1,mine\n",
        "id,text,answer,error,attempts,tokens\n1,cat,another answer,,1,9\n",
    ] {
        write(&world, "out.csv", other);
        let outcome = run(&world, ["in.csv", "out.csv"], &ASK);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(
            outcome
                .stderr
                .contains("results that are not in the journal")
        );
        assert_eq!(read(&world, "out.csv"), other);
    }
}

#[test]
fn rows_that_fail_or_were_not_run_say_why_and_are_run_again() {
    let world = World::new(ApiModel::new(1).failure_rate(1.0));
    write(&world, "in.csv", "id,text\n1,cat\n2,dog\n3,bee\n");
    let args = [&ASK[..], &["--max-retries", "1", "--first", "2"]].concat();
    let outcome = run(&world, ["in.csv", "out.csv"], &args);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let rows = cells(&read(&world, "out.csv"), ',');
    assert_eq!(
        (rows.len(), column(&rows[1..], 4)),
        (3, vec!["2", "2"]),
        "{rows:?}"
    );
    assert!(
        column(&rows[1..], 3)
            .iter()
            .all(|error| error.contains(": ")),
        "{rows:?}"
    );
    assert!(column(&rows[1..], 2).iter().all(|answer| answer.is_empty()));
    let outcome = run(
        &world,
        ["in.csv", "out.csv"],
        &[&args[..], &["--retry-failed"]].concat(),
    );
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(world.stats().arrivals, 8);
}
