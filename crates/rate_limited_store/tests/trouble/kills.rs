//! kill -9 at any moment.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rate_limited_store::{Found, Journal, Options, Walk, verify};

use crate::child::{IN_FLIGHT, body, command, key, run, times};

/// Checks that what was told is there, and gives how many calls were in flight.
fn check(path: &std::path::Path, told: &BTreeSet<u64>) -> u64 {
    let started = Instant::now();
    let opened = Journal::open(path, &Options::default()).expect("the next start takes over");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(opened.past.lost, 0);
    let mut walk = Walk::new(&opened.journal).expect("readable");
    let last = told.last().map_or(0, |last| last + 1);
    for call in 0..last {
        match walk.look(key(call), key(call)).expect("undamaged") {
            Found::Over(over) => {
                let ended = opened.journal.read(over.number).expect("undamaged");
                assert_eq!(ended.body, Some(body(call)));
            }
            found => assert!(!told.contains(&call), "{call} was told, and is {found:?}"),
        }
    }
    opened.past.counts.unknown
}

#[test]
fn what_was_told_survives() {
    let rounds = times(300, 10_000);
    let (mut kills, mut results) = (0, 0);
    let mut dice = 7_u64;
    while kills < rounds {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.journal");
        let mut told = BTreeSet::new();
        for _ in 0..10 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let patience = Duration::from_micros(500 + (dice >> 33) % 50_000);
            let said = run(command(&[], &path, "work"), Some(patience));
            kills += 1;
            let new: BTreeSet<u64> = said.told.iter().copied().collect();
            assert!(new.is_disjoint(&told), "told twice");
            told.extend(new);
            let unknown = check(&path, &told);
            assert!(unknown <= IN_FLIGHT as u64, "{unknown} unknown calls");
        }
        verify(&path).expect("undamaged");
        results += told.len();
    }
    println!("{kills} kills, {results} results told, 0 lost, 0 made again");
}

#[test]
fn one_process_has_it_at_a_time() {
    let rounds = times(100, 2_000);
    let (mut owners, mut refused) = (0, 0);
    for _ in 0..rounds {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.journal");
        let children: Vec<_> = (0..8)
            .map(|_| command(&[], &path, "own"))
            .map(|command| std::thread::spawn(move || run(command, None)))
            .collect();
        for child in children {
            let said = child.join().expect("no panic");
            refused += said.errors.len();
            for error in said.errors {
                assert!(error.contains("is in use by "), "{error}");
            }
        }
        let log = std::fs::read_to_string(path.with_extension("log")).expect("an owner");
        assert_eq!(log.replace("[]", ""), "", "two owners at once");
        owners += log.len() / 2;
    }
    assert_eq!(owners + refused, rounds * 8);
    println!(
        "{rounds} rounds of 8 processes: {owners} had it, {refused} were refused, never two at once"
    );
}
