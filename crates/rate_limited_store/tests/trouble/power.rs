//! Loss of power: what the disk may have of what a run wrote.
//!
//! A run is traced, and then stopped at any of its deeds. Of what was written since a file was waited for
//! last, the disk has nothing, all, the beginning, or any part, the last write perhaps in sectors only; of
//! the names, those up to any moment since the folder was waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rate_limited_store::{Found, Journal, Options, Walk, verify};

use crate::child::{body, command, key, run};
use crate::soak::{Dice, in_parallel, memory, tell, times};
use crate::syscalls::has_strace;
use crate::trace::{Deed, Object, read, words};

/// What a disk keeps of the writes that nobody waited for.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Nothing,
    All,
    /// All up to one of them, which may be torn.
    Beginning,
    /// Any of them.
    Any,
}

const KEPT: [Kept; 4] = [Kept::Nothing, Kept::All, Kept::Beginning, Kept::Any];

/// The files, as the process sees them, and since when the disk has been waited for.
#[derive(Clone, Default)]
struct World {
    /// What the disk has of each file.
    safe: BTreeMap<Object, Vec<u8>>,
    /// What was written to each since.
    since: BTreeMap<Object, Vec<Deed>>,
    safe_names: BTreeMap<PathBuf, Object>,
    names_since: Vec<Deed>,
    told: BTreeSet<u64>,
}

impl World {
    fn take(&mut self, deed: &Deed) {
        match deed {
            Deed::Write { object, .. } | Deed::Resize { object, .. } => {
                self.since.entry(*object).or_default().push(deed.clone());
            }
            Deed::Sync { object } => {
                let bytes = self.safe.entry(*object).or_default();
                for deed in self.since.remove(object).unwrap_or_default() {
                    apply(bytes, &deed, usize::MAX);
                }
            }
            Deed::SyncNames => {
                for deed in std::mem::take(&mut self.names_since) {
                    rename(&mut self.safe_names, &deed);
                }
            }
            Deed::Create { .. } | Deed::Rename { .. } | Deed::Remove { .. } => {
                self.names_since.push(deed.clone());
            }
            Deed::Told { call } => {
                self.told.insert(*call);
            }
        }
    }

    /// The files after the power came back.
    fn after(&self, kept: Kept, dice: &mut Dice) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = self.safe_names.clone();
        let until = match kept {
            Kept::Nothing => 0,
            Kept::All => self.names_since.len(),
            Kept::Beginning | Kept::Any => dice.below(self.names_since.len() + 1),
        };
        for deed in &self.names_since[..until] {
            rename(&mut names, deed);
        }
        let mut files = BTreeMap::new();
        for (path, object) in names {
            files.insert(path, self.bytes(object, kept, dice));
        }
        files
    }

    fn bytes(&self, object: Object, kept: Kept, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.safe.get(&object).cloned().unwrap_or_default();
        let since = self
            .since
            .get(&object)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let until = match kept {
            Kept::Nothing => 0,
            Kept::All | Kept::Any => since.len(),
            Kept::Beginning => dice.below(since.len() + 1),
        };
        for (at, deed) in since[..until].iter().enumerate() {
            let is_kept = !matches!(kept, Kept::Any) || dice.below(2) == 0;
            let is_torn = at + 1 == until && !matches!(kept, Kept::All);
            // Sectors are written whole.
            let most = if is_torn {
                512 * dice.below(9)
            } else {
                usize::MAX
            };
            if is_kept {
                apply(&mut bytes, deed, most);
            }
        }
        bytes
    }
}

fn apply(file: &mut Vec<u8>, deed: &Deed, most: usize) {
    match deed {
        Deed::Write { at, bytes, .. } => {
            let bytes = &bytes[..bytes.len().min(most)];
            if file.len() < at + bytes.len() {
                file.resize(at + bytes.len(), 0);
            }
            file[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Deed::Resize { bytes, .. } => file.resize(*bytes, 0),
        _ => {}
    }
}

fn rename(names: &mut BTreeMap<PathBuf, Object>, deed: &Deed) {
    match deed {
        Deed::Create { path, object } => {
            names.insert(path.clone(), *object);
        }
        Deed::Rename { from, to } => {
            if let Some(object) = names.remove(from) {
                names.insert(to.clone(), object);
            }
        }
        Deed::Remove { path } => {
            names.remove(path);
        }
        _ => {}
    }
}

/// What the journal has after all: results that were told and are gone.
fn look(
    place: &Path,
    files: &BTreeMap<PathBuf, Vec<u8>>,
    told: &BTreeSet<u64>,
    what: &str,
) -> Option<u64> {
    let folder = tempfile::tempdir_in(place).expect("room");
    for (path, bytes) in files {
        let name = path.file_name().expect("a name");
        if !name.as_encoded_bytes().ends_with(b"-ballast") {
            std::fs::write(folder.path().join(name), bytes).expect("room");
        }
    }
    // The room that is set aside says nothing, and to fill it thousands of times takes long.
    let path = folder.path().join("run.journal");
    let ballast = folder.path().join("run.journal-ballast");
    std::fs::hard_link(place.join("ballast"), ballast).expect("one disk");
    let opened = Journal::open(&path, &Options::default());
    let opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut walk = Walk::new(&opened.journal).expect("readable");
    let mut missing = 0;
    let last = told.last().map_or(0, |last| last + 1);
    for call in 0..last {
        match walk.look(key(call), key(call)).expect("undamaged") {
            Found::Over(over) => {
                let ended = opened.journal.read(over.number).expect("undamaged");
                assert_eq!(ended.body, Some(body(call)), "{what}");
            }
            _ => missing += u64::from(told.contains(&call)),
        }
    }
    let (lost, torn) = (opened.past.lost, opened.past.torn);
    drop(opened);
    verify(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(lost == 0 || torn, "{what}");
    (missing > 0).then_some(missing)
}

/// Traces a run, and takes the power away at so many points of it.
fn explore(role: &str, points: usize) -> (usize, usize, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = tempfile::NamedTempFile::new().expect("a file");
    let path = folder
        .path()
        .canonicalize()
        .expect("there")
        .join("run.journal");
    let words = words(log.path());
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let said = run(command(&words, &path, role), None);
    assert_eq!(said.told.len(), 200, "{:?}", said.errors);
    let deeds = read(log.path(), path.parent().expect("a folder"));
    let told = deeds
        .iter()
        .filter(|deed| matches!(deed, Deed::Told { .. }));
    assert_eq!(told.count(), 200);
    let place = memory();
    std::fs::write(place.path().join("ballast"), vec![0; 8 << 20]).expect("room");
    // So many that each of them is done in a fraction of the time after which it is taken to hang.
    let parts = (points / 250).max(8);
    let costly = std::sync::Mutex::new((0, 0));
    in_parallel(parts, |part| {
        let mut dice = Dice::new(part as u64);
        let each = points / parts;
        let mut at: Vec<_> = (0..each).map(|_| dice.below(deeds.len() + 1)).collect();
        at.sort_unstable();
        let mut world = World::default();
        let mut done = 0;
        for (number, at) in at.into_iter().enumerate() {
            for deed in &deeds[done..at] {
                world.take(deed);
            }
            done = at;
            let kept = KEPT[number % KEPT.len()];
            let what = format!("{role}: power lost at deed {at}, {kept:?} kept, part {part}");
            let files = world.after(kept, &mut dice);
            if let Some(missing) = look(place.path(), &files, &world.told, &what) {
                let mut costly = costly.lock().expect("no panic");
                costly.0 += 1;
                costly.1 += missing;
            }
        }
    });
    let (costly, missing) = costly.into_inner().expect("no panic");
    (deeds.len(), costly, missing)
}

#[test]
fn power_loss_costs_nothing_that_was_told_for_good() {
    if !has_strace() {
        eprintln!("skipped: strace is not there, or may not trace");
        return;
    }
    let points = times(2_000, 100_000) as usize;
    let (deeds, costly, missing) = explore("power", points);
    tell(&format!(
        "power lost at {points} points of {deeds} deeds, `power`: {missing} told results lost, 0 journals unreadable"
    ));
    assert_eq!((costly, missing), (0, 0));
}

#[test]
fn power_loss_leaves_a_journal_that_can_be_read() {
    if !has_strace() {
        eprintln!("skipped: strace is not there, or may not trace");
        return;
    }
    let points = times(1_000, 100_000) as usize;
    let (deeds, costly, missing) = explore("write", points);
    tell(&format!(
        "power lost at {points} points of {deeds} deeds, `process`: 0 journals unreadable; at {costly} points {missing} results were lost, as this level says"
    ));
}

/// A path is only looked at: the model must be able to lose something.
#[test]
fn the_model_loses_what_nobody_waited_for() {
    let path = Path::new("/x").to_owned();
    let deeds = [
        Deed::Create {
            path: path.clone(),
            object: 0,
        },
        Deed::SyncNames,
        Deed::Write {
            object: 0,
            at: 0,
            bytes: vec![1; 1_024],
        },
        Deed::Sync { object: 0 },
        Deed::Write {
            object: 0,
            at: 512,
            bytes: vec![2; 1_024],
        },
    ];
    let mut world = World::default();
    for deed in &deeds {
        world.take(deed);
    }
    let mut dice = Dice::new(1);
    assert_eq!(world.after(Kept::Nothing, &mut dice)[&path], vec![1; 1_024]);
    assert_eq!(world.after(Kept::All, &mut dice)[&path].len(), 1_536);
    let lengths: BTreeSet<_> = (0..50)
        .map(|_| world.after(Kept::Beginning, &mut dice)[&path].len())
        .collect();
    assert_eq!(lengths, BTreeSet::from([1_024, 1_536]));
}
