//! What was recorded is there, and what was not is not.

use rate_limited_store::{Back, Failure, Found, Journal, Options, Record, Walk};

use crate::support::{Place, bodies, body, counts, dispatch, end, failed, fill, found, key};

#[test]
fn results_outlive_the_journal_that_took_them() {
    let place = Place::with_calls(3_000);
    let opened = place.open();
    assert_eq!(counts(&opened.past), [3_000, 0, 0, 0]);
    let expected: Vec<_> = (0..3_000).map(|call| Some(body(call))).collect();
    assert_eq!(bodies(&opened.journal, 0..3_000), expected);
    assert_eq!(opened.past.lost, 0);
}

#[test]
fn a_call_that_was_in_flight_is_unknown() {
    let place = Place::new();
    let opened = place.open();
    opened.journal.push(dispatch(0)).expect("open");
    opened.journal.push(dispatch(1)).expect("open");
    let last = opened.journal.push(Record::End(end(0))).expect("open");
    opened.journal.wait(last).expect("room");
    // A journal that is closed while something is in flight is like one whose process died.
    drop(opened);
    let opened = place.open();
    assert_eq!(counts(&opened.past), [1, 0, 1, 1]);
    let call = opened.past.unfinished[&1];
    assert_eq!((call.attempts, call.crashes, call.unknown), (1, 1, true));
    drop(opened);
    let opened = place.open();
    let call = opened.past.unfinished[&1];
    assert_eq!(
        (call.crashes, call.unknown),
        (1, true),
        "it was in flight once only"
    );
}

#[test]
fn a_call_that_waits_for_a_retry_is_not_unknown() {
    let place = Place::new();
    let opened = place.open();
    opened.journal.push(dispatch(0)).expect("open");
    let failure = Failure {
        kind: "Status".to_owned(),
        text: "503".to_owned(),
        ..Failure::default()
    };
    let back = Back {
        position: 0,
        key: key(0),
        request: key(0),
        attempts: 1,
        crashes: 0,
        unknown: false,
        failure: Some(failure.clone()),
    };
    opened
        .journal
        .push(Record::Back(back.clone()))
        .expect("open");
    opened
        .journal
        .push(Record::Back(Back {
            attempts: 2,
            ..back
        }))
        .expect("open");
    drop(opened);
    let opened = place.open();
    assert_eq!(counts(&opened.past), [0, 0, 1, 0]);
    assert_eq!(opened.past.unfinished[&0].attempts, 2);
    assert_eq!(
        opened.journal.failures(0),
        Ok(vec![failure.clone(), failure])
    );
}

#[test]
fn a_failed_call_can_be_run_again() {
    let place = Place::new();
    let opened = place.open();
    let last = opened.journal.push(Record::End(failed(0))).expect("open");
    opened.journal.wait(last).expect("room");
    drop(opened);
    let opened = place.open();
    assert_eq!(counts(&opened.past), [0, 1, 0, 0]);
    opened.journal.push(dispatch(0)).expect("open");
    drop(opened);
    // Now it lies in both tables.
    let opened = place.open();
    assert_eq!(counts(&opened.past), [0, 1, 1, 1]);
    assert!(matches!(
        found(&opened.journal, [0])[..],
        [Found::Unfinished { position: 0, .. }]
    ));
    let mut walk = Walk::new(&opened.journal).expect("readable");
    walk.look(key(0), key(0)).expect("undamaged");
    assert_eq!(walk.census().gone, 0);
    fill(&opened.journal, 0..1);
    drop(opened);
    let opened = place.open();
    assert_eq!(counts(&opened.past), [1, 0, 0, 0]);
    let [Found::Over(over)] = found(&opened.journal, [0])[..] else {
        panic!("it is over")
    };
    // The old answer stays.
    assert_eq!(over.number, 2);
    assert!(opened.journal.read(1).is_ok());
}

#[test]
fn a_result_that_could_not_be_encoded_is_done_without_a_body() {
    let place = Place::new();
    let opened = place.open();
    let bare = rate_limited_store::End {
        body: None,
        ..end(0)
    };
    opened.journal.push(Record::End(bare)).expect("open");
    drop(opened);
    let opened = place.open();
    assert_eq!(counts(&opened.past), [1, 0, 0, 0]);
    assert_eq!(bodies(&opened.journal, [0]), [None]);
}

#[test]
fn power_loss_is_another_level_of_the_same_journal() {
    let place = Place::new();
    let options = Options {
        durability: rate_limited_store::Durability::Power,
        ..Options::default()
    };
    let opened = Journal::open(&place.path(), &options).expect("room");
    fill(&opened.journal, 0..20);
    drop(opened);
    assert_eq!(counts(&place.open().past), [20, 0, 0, 0]);
}

#[test]
fn a_ticket_of_a_closed_journal_is_never_safe() {
    let place = Place::new();
    let opened = place.open();
    let last = opened.journal.push(dispatch(0)).expect("open");
    assert!(opened.journal.wait(last).is_ok());
    assert_eq!(opened.journal.written(), last);
}
