//! Inputs that fuzzing found worth keeping are run again at each test.

use std::fs;
use std::path::Path;

use crate::any_bytes;

#[track_caller]
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files: Vec<_> = fs::read_dir(&folder).expect("a corpus").collect();
    assert!(files.len() >= 5, "{} is nearly empty", folder.display());
    for file in files {
        run(&fs::read(file.expect("a file").path()).expect("its bytes"));
    }
}

#[test]
fn parsers() {
    replay("parsers", any_bytes::parsers);
}

#[test]
fn answers() {
    replay("answers", any_bytes::answers);
}

#[test]
fn descriptions() {
    replay("description", any_bytes::description);
}
