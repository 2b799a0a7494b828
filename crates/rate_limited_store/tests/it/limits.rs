//! What was taken of the limits outlives the process.

use std::time::Duration;

use rate_limited_store::{
    Charge, Charged, Dispatch, Journal, Onlooker, Opened, Options, Record, Wall,
};

use crate::support::{Place, dispatch, end, key};

const MINUTE: Duration = Duration::from_secs(60);

/// Opens it, and finds what somebody who only looks on has foreseen.
fn open(place: &Place) -> Opened {
    let options = Options {
        resources: vec![
            ("requests".to_owned(), Some(MINUTE)),
            ("money".to_owned(), None),
        ],
        ..Options::default()
    };
    let foreseen = place.path().exists().then(|| {
        let onlooker = Onlooker::new(&place.path(), &options.resources);
        onlooker.expect("a good journal")
    });
    let opened = Journal::open(&place.path(), &options).expect("a good journal");
    if let Some(foreseen) = foreseen {
        let (foreseen, past) = (foreseen.past, &opened.past);
        assert_eq!(foreseen.meters, past.meters);
        assert_eq!(foreseen.counts, past.counts);
        assert_eq!(foreseen.unfinished, past.unfinished);
    }
    opened
}

fn charged(resource: u32, at: Wall, micros: i64) -> Charged {
    Charged {
        resource,
        at,
        micros,
    }
}

#[test]
fn what_was_used_within_its_window_is_known() {
    let place = Place::new();
    let now = Wall::now();
    let old = Wall(now.0 - 2 * MINUTE.as_nanos() as i64);
    let opened = open(&place);
    for (call, at) in [(0, old), (1, now)] {
        for charge in [charged(0, at, 1_000_000), charged(1, at, 250)] {
            opened.journal.push(Record::Charge(charge)).expect("open");
        }
        opened.journal.push(Record::End(end(call))).expect("open");
    }
    drop(opened);
    for _ in 0..2 {
        let [requests, money] = &open(&place).past.meters[..] else {
            panic!("two of them")
        };
        let charge = Charge {
            at: now,
            micros: 1_000_000,
        };
        assert_eq!((&requests.charges[..], requests.spent), (&[charge][..], 0));
        // A budget forgets nothing, and adds up.
        assert_eq!((money.charges.len(), money.spent), (0, 500));
    }
}

#[test]
fn what_was_reserved_for_calls_in_flight_counts_as_used() {
    let place = Place::new();
    let now = Wall::now();
    let opened = open(&place);
    let on_its_way = Dispatch {
        position: 0,
        key: key(0),
        request: key(0),
        attempt: 1,
        crashes: 0,
        reserved: vec![charged(0, now, 7_000_000)],
    };
    opened
        .journal
        .push(Record::Dispatch(on_its_way))
        .expect("open");
    drop(opened);
    for _ in 0..2 {
        // Once, however often the journal is opened.
        let opened = open(&place);
        let expected = [Charge {
            at: now,
            micros: 7_000_000,
        }];
        assert_eq!(opened.past.meters[0].charges, expected);
        assert_eq!(opened.past.counts.unknown, 1);
        drop(opened);
    }
    // It stays charged when the call is sent again.
    let opened = open(&place);
    opened.journal.push(dispatch(0)).expect("open");
    drop(opened);
    assert_eq!(open(&place).past.meters[0].charges.len(), 1);
}

#[test]
fn resources_are_known_by_name() {
    let place = Place::new();
    let opened = open(&place);
    let until = Wall(Wall::now().0 + 5_000_000_000);
    opened
        .journal
        .push(Record::Pause { resource: 0, until })
        .expect("open");
    opened
        .journal
        .push(Record::Charge(charged(1, Wall::now(), 3)))
        .expect("open");
    let learnt = b"calls use a tenth".to_vec();
    let record = Record::Learnt {
        resource: 1,
        learnt: learnt.clone(),
    };
    opened.journal.push(record).expect("open");
    drop(opened);
    let options = Options {
        resources: ["money", "images", "requests"]
            .map(|name| (name.to_owned(), Some(MINUTE)))
            .to_vec(),
        ..Options::default()
    };
    let opened = Journal::open(&place.path(), &options).expect("a good journal");
    let [money, images, requests] = &opened.past.meters[..] else {
        panic!("three of them")
    };
    assert_eq!((money.charges.len(), images.charges.len()), (1, 0));
    assert_eq!((&money.learnt, images.learnt.len()), (&learnt, 0));
    assert_eq!(requests.paused_until, until);
}

/// Whoever looks on while it is written sees how things stand, and calls nothing unknown that is under way.
#[test]
fn an_onlooker_sees_what_is_in_flight_and_disturbs_nobody() {
    let place = Place::new();
    let opened = open(&place);
    let resources = [("requests".to_owned(), Some(MINUTE))];
    let on_its_way = Dispatch {
        position: 0,
        key: key(0),
        request: key(0),
        attempt: 1,
        crashes: 0,
        reserved: vec![charged(0, Wall::now(), 7_000_000)],
    };
    let journal = &opened.journal;
    let ticket = journal.push(Record::Dispatch(on_its_way)).expect("open");
    journal.wait(ticket).expect("room");
    let seen = Onlooker::new(&place.path(), &resources).expect("a good journal");
    assert!(seen.holder.is_some());
    assert_eq!(seen.past.meters[0].charges[0].micros, 7_000_000);
    let counts = seen.past.counts;
    assert_eq!((counts.unfinished, counts.unknown), (1, 0));
    let ticket = journal.push(Record::End(end(0))).expect("open");
    journal.wait(ticket).expect("room");
    let seen = Onlooker::new(&place.path(), &resources).expect("a good journal");
    assert_eq!((seen.past.counts.done, seen.past.counts.unfinished), (1, 0));
}

#[test]
fn parts_of_resources_are_known_by_their_names_whatever_their_order() {
    let place = Place::new();
    let now = Wall::now();
    let named = |journal: &Journal, names: &[&str]| {
        for name in names {
            let name = (*name).to_owned();
            journal.push(Record::Resource { name }).expect("open");
        }
    };
    let opened = open(&place);
    assert!(opened.past.parts.is_empty());
    named(
        &opened.journal,
        &["requests[gpt-4o]", "requests[o3]", "other[o3]"],
    );
    for (resource, micros) in [(0, 1), (2, 20), (3, 300), (3, 4_000)] {
        let charge = charged(resource, now, micros);
        opened.journal.push(Record::Charge(charge)).expect("open");
    }
    drop(opened);
    let opened = open(&place);
    let known = |opened: &Opened| {
        let sum = |charges: &[Charge]| charges.iter().map(|charge| charge.micros).sum::<i64>();
        let parts = opened.past.parts.iter();
        parts
            .map(|(name, meter)| (name.clone(), sum(&meter.charges)))
            .collect::<Vec<_>>()
    };
    let expected = |sums: [i64; 2]| {
        let names = ["requests[gpt-4o]", "requests[o3]"].map(str::to_owned);
        names.into_iter().zip(sums).collect::<Vec<_>>()
    };
    assert_eq!(known(&opened), expected([20, 4_300]));
    assert_eq!(opened.past.meters[0].charges[0].micros, 1);
    // The known ones have the places 2 and 3 now, and a further one the next.
    named(&opened.journal, &["requests[sonar]"]);
    for (resource, micros) in [(2, 1), (4, 7)] {
        let charge = charged(resource, now, micros);
        opened.journal.push(Record::Charge(charge)).expect("open");
    }
    drop(opened);
    let opened = open(&place);
    let sonar = ("requests[sonar]".to_owned(), 7);
    let all = [expected([21, 4_300]), vec![sonar]].concat();
    assert_eq!(known(&opened), all);
}
