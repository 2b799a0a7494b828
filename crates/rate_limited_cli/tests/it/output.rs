use std::fs;
use std::path::Path;

use rate_limited_cli::writing::output::{Existing, OutputError, OutputTarget};
use rate_limited_cli::writing::reorder::{Order, OrderedWriter};
use tempfile::{TempDir, tempdir};

fn folder() -> TempDir {
    let folder = tempdir().expect("a folder");
    fs::write(folder.path().join("in.jsonl"), "{}\n").expect("room");
    folder
}

fn refusal(folder: &TempDir, output: &Path, existing: Existing) -> String {
    let input = folder.path().join("in.jsonl");
    let target = OutputTarget::File(output.to_owned());
    let checked = target
        .check(Some(&input), existing)
        .expect_err("refused")
        .to_string();
    let opened = target
        .open(Some(&input), existing)
        .expect_err("refused")
        .to_string();
    assert_eq!(checked, opened);
    assert_eq!(fs::read_to_string(&input).expect("still there"), "{}\n");
    opened.replace(&folder.path().display().to_string(), "DIR")
}

#[test]
fn the_input_is_never_overwritten() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::hard_link(at("in.jsonl"), at("hard")).expect("links are allowed");
    fs::create_dir(at("sub")).expect("room");
    for name in ["in.jsonl", "hard", "sub/../in.jsonl"] {
        assert_eq!(
            refusal(&folder, &at(name), Existing::Replaced),
            format!(
                "the output DIR/{name} is the same file as the input DIR/in.jsonl: choose another path \
                 for the output"
            )
        );
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("in.jsonl", at("soft")).expect("links are allowed");
        let refused = refusal(&folder, &at("soft"), Existing::Replaced);
        assert!(
            refused.contains("is the same file as the input"),
            "{refused}"
        );
    }
}

#[test]
fn an_existing_output_is_kept_unless_told() {
    let folder = folder();
    let path = folder.path().join("out.jsonl");
    fs::write(&path, "results that were paid for\n").expect("room");
    assert_eq!(
        refusal(&folder, &path, Existing::Refused),
        "the output DIR/out.jsonl exists, and there is no journal to go on with: choose another path, or \
         pass --fresh to replace it"
    );
    assert_eq!(
        fs::read_to_string(&path).expect("there"),
        "results that were paid for\n"
    );
    let target = OutputTarget::File(path.clone());
    target.check(None, Existing::Replaced).expect("allowed");
    assert_eq!(
        fs::read_to_string(&path).expect("there"),
        "results that were paid for\n"
    );
    let sink = target.open(None, Existing::Replaced).expect("allowed");
    OrderedWriter::new(sink, Order::Input)
        .finish(1, |_| b"new".to_vec())
        .expect("room");
    assert_eq!(fs::read_to_string(&path).expect("there"), "new\n");
}

#[test]
fn folders_and_missing_folders_are_named() {
    let folder = folder();
    let sub = folder.path().join("sub");
    fs::create_dir(&sub).expect("room");
    assert_eq!(
        refusal(&folder, &sub, Existing::Replaced),
        "the output DIR/sub is a folder: name a file in it"
    );
    assert_eq!(
        refusal(
            &folder,
            &folder.path().join("no/out.jsonl"),
            Existing::Refused
        ),
        "the folder DIR/no of the output DIR/no/out.jsonl does not exist: create it, or choose another \
         path"
    );
}

#[test]
fn what_the_system_refuses_is_said() {
    let folder = folder();
    let path = folder.path().join("in.jsonl/out.jsonl");
    let error = OutputTarget::File(path)
        .open(None, Existing::Refused)
        .expect_err("no folder");
    let OutputError::Open { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::NotADirectory);
    assert!(
        error.to_string().ends_with("; choose another path"),
        "{error}"
    );
}

#[test]
fn a_dash_is_standard_output() {
    assert_eq!(
        OutputTarget::from(std::ffi::OsString::from("-")),
        OutputTarget::Stdout
    );
    assert_eq!(OutputTarget::Stdout.to_string(), "-");
    let file = OutputTarget::from(std::ffi::OsString::from("./-"));
    assert_eq!(file, OutputTarget::File("./-".into()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_a_device_is_no_obstacle() {
    let full = OutputTarget::File("/dev/full".into());
    let mut writer = OrderedWriter::new(
        full.open(None, Existing::Refused).expect("a device"),
        Order::Input,
    );
    let error = writer.put(0, b"line\n".to_vec()).expect_err("full");
    let OutputError::Write { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(
        error
            .to_string()
            .starts_with("failed to write the output /dev/full: "),
        "{error}"
    );
    let null = OutputTarget::File("/dev/null".into())
        .open(None, Existing::Refused)
        .expect("a device");
    OrderedWriter::new(null, Order::Input)
        .put(0, b"line\n".to_vec())
        .expect("room for all");
}
