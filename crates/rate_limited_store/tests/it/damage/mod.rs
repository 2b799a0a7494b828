//! Damage is found, told with its place, and what is good is kept.

mod judge;
mod map;
mod mutations;
mod sample;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::soak::{in_parallel, memory, tell, times};
use judge::Judge;
use map::Map;
use mutations::{File, Mutation, mutations};
use sample::Sample;

/// Every mutation of every sample is judged: opened, read, verified, written on, and salvaged.
#[test]
fn no_damage_goes_unnoticed() {
    let samples = Sample::all();
    let maps: Vec<_> = samples
        .iter()
        .map(|sample| Map::of(&sample.files))
        .collect();
    for (sample, map) in samples.iter().zip(&maps) {
        assert_eq!(map.len(), sample.truth.results.len(), "{}", sample.name);
    }
    let stranger = Sample::stranger();
    let all: Vec<(usize, Mutation)> = samples
        .iter()
        .enumerate()
        .flat_map(|(at, sample)| mutations(sample, at as u64).map(move |mutation| (at, mutation)))
        .collect();
    let place = memory();
    let ballast = place.path().join("ballast");
    std::fs::write(&ballast, vec![0; 8 << 20]).expect("room");
    let started = Instant::now();
    let ends: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let kept: Mutex<[u64; 2]> = Mutex::default();
    in_parallel(all.len(), |item| {
        let (at, mutation) = &all[item];
        let sample = &samples[*at];
        let judge = Judge {
            sample,
            map: &maps[*at],
            files: mutation.apply(sample, &stranger.files),
            folder: tempfile::tempdir_in(place.path()).expect("room"),
            ballast: &ballast,
            is_of_a_stranger: matches!(mutation, Mutation::Stranger { file: File::Main }),
            what: format!("{} of a {} journal", mutation, sample.name),
        };
        let thorough = (item as u64).is_multiple_of(times(4, 1));
        let end = judge.open(thorough);
        *ends.lock().expect("no panic").entry(end).or_default() += 1;
        if !thorough {
            return;
        }
        let (untouched, more) = judge.salvage();
        let mut kept = kept.lock().expect("no panic");
        kept[0] += untouched;
        kept[1] += more;
    });
    let (ends, kept) = (ends.into_inner(), kept.into_inner());
    tell(&format!(
        "{} mutations in {:.0?}: {:?}; salvage kept all {} results whose pages were untouched, and {} more",
        all.len(),
        started.elapsed(),
        ends.expect("no panic"),
        kept.as_ref().expect("no panic")[0],
        kept.as_ref().expect("no panic")[1],
    ));
    assert!(all.len() >= 5_000, "only {} mutations", all.len());
}

/// What was salvaged is a journal like any other, and a salvage that was killed can be done again.
#[test]
fn a_salvage_that_was_interrupted_goes_on() {
    let samples = Sample::all();
    let sample = samples.iter().find(|sample| sample.name == "living");
    let sample = sample.expect("one of them");
    let folder = memory();
    let path = folder.path().join("run.journal");
    sample.files.put(&path);
    let salvaged = rate_limited_store::salvage(&path).expect("a journal");
    assert_eq!(salvaged.kept, sample.truth.results.len() as u64);
    assert_eq!(salvaged.lost, 0);
    // As if it had been killed after the damaged one had got its second name, and before the new one was
    // put in its place.
    let fresh = std::fs::read(&path).expect("there");
    std::fs::write(folder.path().join("run.journal.salvage"), fresh).expect("room");
    std::fs::remove_file(&path).expect("there");
    std::fs::remove_file(folder.path().join("run.journal-count")).expect("there");
    std::fs::hard_link(&salvaged.damaged, &path).expect("one disk");
    let again = rate_limited_store::salvage(&path).expect("a journal");
    assert_eq!(again.kept, salvaged.kept);
    assert_eq!(again.damaged, salvaged.damaged);
    let verified = rate_limited_store::verify(&path).expect("a good journal");
    assert_eq!(verified.results, salvaged.kept);
}

/// Nothing is made of a file that is no journal.
#[test]
fn there_is_nothing_to_salvage_in_a_strange_file() {
    for bytes in [b"hello\n".repeat(500), vec![0; 8_192], b"x".to_vec()] {
        let folder = memory();
        let path = folder.path().join("run.journal");
        std::fs::write(&path, &bytes).expect("room");
        let error = rate_limited_store::salvage(&path).expect_err("no journal");
        assert!(
            matches!(error, rate_limited_store::OpenError::Foreign { .. }),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).expect("there"), bytes);
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("readable").count(),
            1
        );
    }
    let folder = memory();
    let path = folder.path().join("run.journal");
    assert!(rate_limited_store::salvage(&path).is_err());
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("readable").count(),
        0
    );
}
