//! What the compiler does not check about the project itself.

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust files of the crates, without tests and benches.
fn sources() -> Vec<(PathBuf, String)> {
    let crates = fs::read_dir(root().join("crates")).expect("the folder of crates");
    let mut files = Vec::new();
    for entry in crates {
        let folder = entry.expect("a crate").path().join("src");
        collect(&folder, "rs", &mut files);
    }
    assert!(files.len() > 50, "the sources were not found");
    files
}

/// All Python files of the package.
fn python_sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&root().join("python/rate_limited"), "py", &mut files);
    assert!(files.len() > 20, "the package was not found");
    files
}

fn collect(folder: &Path, ending: &str, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, ending, files);
        } else if path.extension().is_some_and(|found| found == ending) {
            let text = fs::read_to_string(&path).expect("a text");
            files.push((path, text));
        }
    }
}

#[test]
fn files_and_functions_stay_small() {
    for (path, text) in sources() {
        let path = path.display();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.len() <= FILE_LINES_MAX,
            "{path} has {} lines",
            lines.len()
        );
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let is_function = code.contains("fn ") && !code.starts_with("//");
            if !is_function || code.ends_with(';') {
                continue;
            }
            let indent = line.len() - code.len();
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[start..]
                .iter()
                .position(|line| *line == end)
                .unwrap_or(0);
            let line = start + 1;
            assert!(
                length <= FUNCTION_LINES_MAX,
                "{path}:{line}: a function of {length} lines"
            );
        }
    }
}

#[test]
fn files_and_functions_of_the_package_stay_small() {
    for (path, text) in python_sources() {
        let path = path.display();
        let lines: Vec<&str> = text.lines().collect();
        let count = lines.len();
        assert!(count <= FILE_LINES_MAX, "{path} has {count} lines");
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            if !(code.starts_with("def ") || code.starts_with("async def ")) {
                continue;
            }
            let indent = line.len() - code.len();
            let is_outside = |line: &&str| {
                let code = line.trim_start();
                // The end of a long signature stands where its beginning does.
                !code.is_empty() && !code.starts_with(')') && line.len() - code.len() <= indent
            };
            let body = &lines[start + 1..];
            let length = body.iter().position(is_outside).unwrap_or(body.len());
            let line = start + 1;
            assert!(
                length <= FUNCTION_LINES_MAX,
                "{path}:{line}: a function of {length} lines"
            );
        }
    }
}

/// The core never learns the time, never waits, never does I/O and depends on nothing.
#[test]
fn the_core_stays_pure() {
    let banned = [
        "Instant",
        "SystemTime",
        "std::thread",
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "HashMap",
        "HashSet",
        "println!",
        "Mutex",
        "async ",
    ];
    for (path, text) in sources() {
        if !path.display().to_string().contains("rate_limited_core") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = banned.iter().find(|word| code.contains(**word));
            let line = number + 1;
            assert_eq!(found, None, "{}:{line}", path.display());
        }
    }
    let manifest = root().join("crates/rate_limited_core/Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("the manifest of the core");
    assert!(
        !manifest.contains("\n[dependencies]"),
        "the core has a dependency"
    );
}

/// The judge must not be able to repeat a mistake of what it judges.
#[test]
fn the_judge_shares_no_code_with_the_core() {
    for (path, text) in sources() {
        let name = path.display().to_string();
        let judges = name.contains("rate_limited_sim") && !name.contains("/world/");
        if judges && !name.ends_with("scenario.rs") {
            assert!(!text.contains("use rate_limited_core"), "{name}");
        }
    }
}

#[test]
fn every_crate_and_every_module_of_the_core_is_on_the_map() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for entry in fs::read_dir(root().join("crates")).expect("the folder of crates") {
        let name = entry
            .expect("a crate")
            .file_name()
            .into_string()
            .expect("a plain name");
        assert!(
            map.contains(&format!("`{name}`")),
            "ARCHITECTURE.md does not name {name}"
        );
    }
    for (path, _) in sources() {
        let name = path.display().to_string();
        if !name.contains("rate_limited_core/src/") {
            continue;
        }
        let module = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if module != "mod" && module != "lib" {
            assert!(
                map.contains(&format!("`{module}`")),
                "ARCHITECTURE.md does not name {module}"
            );
        }
    }
}

/// Whoever wants only the library gets no database, no HTTP, no signal handler, no sockets and no subscriber.
#[test]
fn the_library_without_features_is_lean() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal"])
        .args(["--package", "rate_limited", "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo");
    let tree = String::from_utf8(tree.stdout).expect("text");
    let crates: std::collections::BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(crates.contains("tokio"), "{tree}");
    for banned in [
        "libsqlite3-sys",
        "rusqlite",
        "reqwest",
        "hyper",
        "rustls",
        "mio",
        "socket2",
        "signal-hook-registry",
        "tracing",
        "log",
        "serde",
        "tower-service",
        "futures-core",
    ] {
        assert!(
            !crates.contains(banned),
            "{banned} without a feature:\n{tree}"
        );
    }
}
