//! Any bytes, taken as what becomes of the files of a journal: it is opened, read, and salvaged, and
//! nothing wrong comes back.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rate_limited_store::{
    Digest, Dispatch, End, Found, Journal, OpenError, Options, Record, Walk, salvage, verify,
};

const CALLS: u64 = 60;
const SUFFIXES: [&str; 3] = ["", "-wal", "-count"];

type Files = [Vec<u8>; 3];

struct Sample {
    files: Files,
    /// There as long as the process is: to make it takes longer than all the rest.
    ballast: PathBuf,
}

static SAMPLE: OnceLock<Sample> = OnceLock::new();

fn key(call: u64) -> Digest {
    Digest::of(&[b"call", &call.to_le_bytes()])
}

fn body(call: u64) -> Vec<u8> {
    let times = if call % 20 == 7 { 700 } else { 2 };
    format!("answer {call} ").repeat(times).into_bytes()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn memory() -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    if shm.is_dir() {
        shm
    } else {
        std::env::temp_dir()
    }
}

/// A journal of which one half is in the tables, and one in the log.
fn sample() -> Sample {
    let folder = tempfile::tempdir_in(memory()).expect("a folder");
    let path = folder.path().join("run.journal");
    let write = |calls: std::ops::Range<u64>| {
        let opened = Journal::open(&path, &Options::default()).expect("room");
        let mut last = 0;
        for call in calls {
            let dispatch = Dispatch {
                position: call,
                key: key(call),
                request: key(call),
                attempt: 1,
                crashes: 0,
                reserved: Vec::new(),
            };
            opened
                .journal
                .push(Record::Dispatch(dispatch))
                .expect("open");
            let end = End::done(call, key(call), key(call), 1, Some(body(call)));
            last = opened.journal.push(Record::End(end)).expect("open");
            if call % 8 == 0 {
                opened.journal.wait(last).expect("room");
            }
        }
        opened.journal.wait(last).expect("room");
        opened
    };
    drop(write(0..CALLS / 2));
    let opened = write(CALLS / 2..CALLS);
    let files = SUFFIXES.map(|suffix| std::fs::read(beside(&path, suffix)).expect("there"));
    drop(opened);
    let ballast = memory().join(format!("rate-limited-any-file-{}", std::process::id()));
    std::fs::write(&ballast, vec![0; 8 << 20]).expect("room");
    Sample { files, ballast }
}

/// Takes seven bytes after another for a change: which file, what is done to it, where, and a value.
fn changed(files: &Files, script: &[u8]) -> Files {
    let mut files = files.clone();
    let (changes, _) = script.as_chunks::<7>();
    for [file, deed, a, b, c, value, more] in changes.iter().take(64) {
        let bytes = &mut files[usize::from(*file) % 3];
        let at = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let (at, count) = (at % (bytes.len() + 1), usize::from(*more) + 1);
        let end = (at + count).min(bytes.len());
        match deed % 8 {
            0 => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= value),
            1 => bytes[at..end].fill(*value),
            2 => bytes.truncate(at),
            3 => bytes.extend(std::iter::repeat_n(*value, count * 16)),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => drop(bytes.drain(at..end)),
            6 => {
                let to = usize::from(*value) * 4_096 % (bytes.len() + 1);
                let from = at - at % 4_096;
                let end = (from + 4_096).min(bytes.len());
                if to + (end - from) <= bytes.len() {
                    bytes.copy_within(from..end, to);
                }
            }
            _ => bytes.clear(),
        }
    }
    files
}

fn put(sample: &Sample, files: &Files, folder: &Path) -> PathBuf {
    std::fs::create_dir(folder).expect("room");
    let path = folder.join("run.journal");
    for (suffix, bytes) in SUFFIXES.iter().zip(files) {
        std::fs::write(beside(&path, suffix), bytes).expect("room");
    }
    std::fs::hard_link(&sample.ballast, beside(&path, "-ballast")).expect("one disk");
    path
}

/// What must hold of any change.
pub(crate) fn opened(script: &[u8]) {
    let sample = SAMPLE.get_or_init(sample);
    let files = changed(&sample.files, script);
    let folder = tempfile::tempdir_in(memory()).expect("a folder");
    let path = put(sample, &files, &folder.path().join("open"));
    match Journal::open(&path, &Options::default()) {
        Ok(opened) => {
            let (told, over) = read(&opened.journal);
            let past = &opened.past;
            // A count that cannot tell is told, too.
            let is_told = told || past.torn || past.uncounted;
            assert!(is_told || over == CALLS, "only {over} calls are there");
            drop(opened);
            let verified = verify(&path);
            assert!(
                !told || verified.is_err(),
                "reading found what verify did not"
            );
        }
        Err(error) => {
            let is_told = matches!(
                error,
                OpenError::Damaged { .. } | OpenError::Foreign { .. } | OpenError::Newer { .. }
            );
            assert!(is_told, "{error}");
            for (suffix, bytes) in SUFFIXES.iter().zip(&files) {
                let after = std::fs::read(beside(&path, suffix)).expect("there");
                assert!(after == *bytes, "the file {suffix} was changed");
            }
        }
    }
    let path = put(sample, &files, &folder.path().join("salvage"));
    if salvage(&path).is_ok() {
        verify(&path).expect("what was salvaged is good");
        let opened = Journal::open(&path, &Options::default()).expect("it is good");
        let (told, over) = read(&opened.journal);
        let past = &opened.past;
        assert!(!told, "what was salvaged is damaged");
        assert_eq!(
            past.counts.done, over,
            "each call that is over is so to a run"
        );
    }
}

/// Reads all: whether damage was told, and how many calls are over.
fn read(journal: &Journal) -> (bool, u64) {
    let (mut told, mut over) = (false, 0);
    let Ok(mut walk) = Walk::new(journal) else {
        return (true, over);
    };
    for call in 0..CALLS {
        match walk.look(key(call), key(call)) {
            Ok(Found::Over(found)) => {
                over += 1;
                match journal.read(found.number) {
                    Ok(ended) => assert_eq!(ended.body, Some(body(call)), "call {call}"),
                    Err(_) => told = true,
                }
            }
            Ok(_) => {}
            Err(_) => return (true, over),
        }
    }
    (told, over)
}

/// Scripts of any kind, and those that once found something.
#[test]
fn any_change_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/open");
    if let Ok(corpus) = std::fs::read_dir(folder) {
        for entry in corpus {
            opened(&std::fs::read(entry.expect("readable").path()).expect("readable"));
        }
    }
    let mut state = 88_172_645_463_325_252_u64;
    for round in 0..100 {
        let bytes = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        });
        let script: Vec<u8> = bytes.take(7 * (1 + round % 6)).collect();
        opened(&script);
    }
    if let Some(sample) = SAMPLE.get() {
        std::fs::remove_file(&sample.ballast).expect("it is there");
    }
}
