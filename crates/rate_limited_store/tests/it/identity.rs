//! Inputs and calls are matched by key.

use proptest::prelude::*;
use rate_limited_store::{Census, Digest, Found, Record, Walk};

use crate::support::{Place, end, found, key};

/// The positions that inputs have, and how they stand to the journal.
fn look(place: &Place, inputs: &[(u64, u64)]) -> (Vec<Option<u64>>, Census) {
    let opened = place.open();
    let mut walk = Walk::new(&opened.journal).expect("readable");
    let position = |found| match found {
        Found::Over(over) => Some(over.position),
        _ => None,
    };
    let looked = inputs.iter().map(|(key_of, request)| {
        position(walk.look(key(*key_of), key(*request)).expect("undamaged"))
    });
    (looked.collect(), walk.census())
}

fn same(calls: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    calls.into_iter().map(|call| (call, call)).collect()
}

#[test]
fn the_same_inputs_are_found_in_their_places() {
    let place = Place::with_calls(20_000);
    let (positions, census) = look(&place, &same(0..20_000));
    assert!(
        positions
            .iter()
            .enumerate()
            .all(|(at, found)| *found == Some(at as u64))
    );
    assert_eq!(
        census,
        Census {
            unchanged: 20_000,
            ..Census::default()
        }
    );
}

#[test]
fn reordered_inserted_and_deleted_inputs_are_found() {
    let place = Place::with_calls(30_000);
    // From the end to the beginning, some left out, some new.
    let inputs: Vec<u64> = (0..30_000)
        .rev()
        .filter(|call| call % 7 != 0)
        .chain(50_000..50_010)
        .collect();
    let (positions, census) = look(&place, &same(inputs.iter().copied()));
    let known = inputs.iter().map(|call| (*call < 30_000).then_some(*call));
    assert_eq!(positions, known.collect::<Vec<_>>());
    let gone = (0..30_000).filter(|call| call % 7 == 0).count() as u64;
    let expected = Census {
        unchanged: 30_000 - gone,
        changed: 0,
        new: 10,
        gone,
    };
    assert_eq!(census, expected);
}

#[test]
fn another_request_under_a_key_is_told() {
    let place = Place::with_calls(10);
    let (_, census) = look(&place, &[(0, 0), (1, 99), (2, 2)]);
    assert_eq!(
        census,
        Census {
            unchanged: 2,
            changed: 1,
            new: 0,
            gone: 7
        }
    );
    assert!(!census.is_another_job());
    let (_, other) = look(&place, &same(100..105));
    assert!(other.is_another_job());
}

#[test]
fn equal_keys_are_told_apart_by_their_order() {
    let place = Place::new();
    let opened = place.open();
    for (position, answer) in [b"one", b"two"].into_iter().enumerate() {
        let mut end = end(7);
        (end.position, end.body) = (position as u64, Some(answer.to_vec()));
        opened.journal.push(Record::End(end)).expect("open");
    }
    drop(opened);
    let opened = place.open();
    let found = found(&opened.journal, [7, 7, 7]);
    let numbers: Vec<_> = found
        .iter()
        .map(|found| match found {
            Found::Over(over) => over.number,
            _ => 0,
        })
        .collect();
    assert_eq!(numbers, [1, 2, 0]);
}

#[test]
fn a_crash_leaves_gaps_that_are_new_calls() {
    let place = Place::new();
    let opened = place.open();
    for call in (0..9_000_u64).filter(|call| call % 3 != 1) {
        opened.journal.push(Record::End(end(call))).expect("open");
    }
    drop(opened);
    let (positions, census) = look(&place, &same(0..12_000));
    let expected = (0..12_000).map(|call| (call < 9_000 && call % 3 != 1).then_some(call));
    assert_eq!(positions, expected.collect::<Vec<_>>());
    assert_eq!(
        (census.unchanged, census.new, census.gone),
        (6_000, 6_000, 0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against the plainest rule: the first row of that key that no earlier input has.
    #[test]
    fn any_inputs_are_matched_as_by_the_plainest_rule(
        calls in prop::collection::vec(0..40_u64, 0..80),
        inputs in prop::collection::vec((0..50_u64, 0..2_u64), 0..80),
    ) {
        let place = Place::new();
        let opened = place.open();
        for (position, call) in calls.iter().enumerate() {
            let mut end = end(*call);
            end.position = position as u64;
            opened.journal.push(Record::End(end)).expect("open");
        }
        drop(opened);
        let mut left: Vec<Option<u64>> = calls.iter().copied().map(Some).collect();
        let mut expected = Vec::new();
        for (call, _) in &inputs {
            let position = left.iter().position(|known| *known == Some(*call));
            if let Some(position) = position {
                left[position] = None;
            }
            expected.push(position.map(|position| position as u64));
        }
        let pairs: Vec<_> = inputs.iter().map(|(call, other)| (*call, call + other * 100)).collect();
        let (positions, census) = look(&place, &pairs);
        prop_assert_eq!(&positions, &expected);
        prop_assert_eq!(census.gone as usize, left.iter().flatten().count());
        prop_assert_eq!(census.new as usize, expected.iter().filter(|found| found.is_none()).count());
    }
}

#[test]
fn digests_do_not_change_from_one_version_to_the_next() {
    // Journals of earlier versions have them.
    assert_eq!(Digest::of(&[b"a", b"b"]).to_string(), DIGEST_OF_A_AND_B);
}

/// By `printf '\1\0\0\0\0\0\0\0a\1\0\0\0\0\0\0\0b' | sha256sum`.
const DIGEST_OF_A_AND_B: &str = "cf6ab613e3942391f88ed698557e1680";
