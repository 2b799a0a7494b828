//! Man pages and completions have what the command line has.

use std::fs;

use crate::world::{command, spawn};

fn output(folder: &std::path::Path, args: &[&str]) -> String {
    let output = spawn(command(folder, args))
        .wait_with_output()
        .expect("it runs");
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn shells_complete_all_commands_and_options() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = output(folder.path(), &["completions", shell]);
        for word in ["report", "max-concurrent", "on-unknown", "with-examples"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn each_command_has_a_man_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = output(folder.path(), &["man"]);
    assert!(
        page.contains(".TH rate-limited 1") && page.contains("rate\\-limited\\-run(1)"),
        "{page}"
    );
    output(folder.path(), &["man", "--folder", "man1"]);
    let mut names: Vec<_> = fs::read_dir(folder.path().join("man1"))
        .expect("a folder")
        .map(|page| {
            page.expect("a page")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort_unstable();
    for name in ["apis", "clean", "report", "run", "status"] {
        assert!(
            names.contains(&format!("rate-limited-{name}.1")),
            "{names:?}"
        );
    }
    let run = fs::read_to_string(folder.path().join("man1/rate-limited-run.1")).expect("a page");
    assert!(
        run.contains("max\\-cost") && run.contains("Exit codes:"),
        "{run}"
    );
    // What is below the options keeps its lines.
    let (_, notes) = run
        .split_once(".SH NOTES\n.nf\n.in 2\nExamples:")
        .expect("notes");
    let (notes, _) = notes.split_once("\n.fi\n").expect("their end");
    assert!(notes.ends_with("where the run stopped."), "{notes}");
    assert!(
        run.contains("\\fBrate\\-limited run\\fR") || run.contains("rate\\-limited\\-run"),
        "{run}"
    );
}

/// Those that need no key, no network and no file of the reader's.
#[cfg(all(unix, feature = "simulate"))]
#[test]
fn examples_of_the_help_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = output(folder.path(), &["run", "--help"]);
    let lines = help.lines().map(str::trim);
    let examples = lines.filter(|line| line.starts_with("echo "));
    let examples: Vec<_> = examples.collect();
    assert!(!examples.is_empty(), "{help}");
    for example in examples {
        let own = command(folder.path(), &[]);
        let own = own.get_program().to_str().expect("a path");
        let done = std::process::Command::new("sh")
            .args(["-c", &example.replace("rate-limited", own)])
            .current_dir(folder.path())
            .output();
        let done = done.expect("a shell");
        assert!(done.status.success(), "{example}: {done:?}");
        assert_eq!(
            String::from_utf8_lossy(&done.stdout).lines().count(),
            1,
            "{example}"
        );
    }
}

/// All that `--help` says is in the book, and nothing else.
#[cfg(feature = "simulate")]
#[test]
fn the_reference_of_the_book_is_what_the_command_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/command.md"
    );
    let written = fs::read_to_string(file).expect("the page");
    assert!(
        output(folder.path(), &["man", "--markdown"]) == written,
        "docs/reference/command.md is not what the command says: write it anew with \
         `cargo run -p rate_limited_cli -- man --markdown > docs/reference/command.md`"
    );
}
