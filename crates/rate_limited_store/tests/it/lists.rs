//! Lists of calls, one after another: each finds what a later process would find, with whom it is compared.

use crate::support::{Place, fill, key};
use proptest::prelude::*;
use rate_limited_store::{
    Back, Begun, Counts, Decision, Digest, Dispatch, End, Found, Journal, Lookup, Objection,
    OnChange, OnUnknown, Onlooker, Opened, Policy, Record, State, Ticket, Unfinished, Walk, peek,
};
use std::collections::HashSet;

const RERUN: Policy = Policy {
    on_change: OnChange::Rerun,
    on_unknown: OnUnknown::Retry,
    retry_failed: false,
};

/// What becomes of a call that is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Failed,
    /// Its attempt came back, and the run was interrupted; it may have been answered, or not.
    Interrupted(bool),
    /// The run was interrupted before it was sent.
    Unsent,
}

#[derive(Clone, Copy, Debug)]
struct Input {
    key: u64,
    request: u64,
    fate: Fate,
    /// Whether it is run before the next one comes in.
    at_once: bool,
}

/// A runner, as far as its journal is concerned.
struct Runner {
    opened: Opened,
    lookup: Lookup,
    /// What was counted in this process.
    counted: Counts,
    last: Ticket,
}

impl Runner {
    fn new(place: &Place, policy: Policy) -> Runner {
        let opened = place.open();
        let lookup = Lookup::new(&opened, policy).expect("readable");
        Runner {
            opened,
            lookup,
            counted: Counts::default(),
            last: 0,
        }
    }

    fn journal(&self) -> &Journal {
        &self.opened.journal
    }

    fn begin_list(&mut self) {
        self.lookup.begin_list(&HashSet::new()).expect("readable");
    }

    fn look(&mut self, call: u64) -> Decision {
        let looked = self.lookup.look(key(call), key(call));
        looked.expect("undamaged")
    }

    /// What was over in this process and in those before.
    fn over(&self) -> (u64, u64) {
        let (over, counted) = (self.lookup.over(), self.counted);
        (over.done + counted.done, over.failed + counted.failed)
    }

    fn runs(&mut self, (key, request): (Digest, Digest), begun: Begun, fate: Fate) {
        let position = begun.position;
        if let Some(state) = self.lookup.begins(position) {
            self.counted.reopen(state);
        }
        let unfinished = |unknown| Unfinished {
            key,
            request,
            attempts: begun.attempts + 1,
            crashes: begun.crashes,
            unknown,
        };
        let record = match fate {
            Fate::Unsent => return,
            Fate::Interrupted(unknown) => {
                self.lookup.has_begun(position, unfinished(unknown));
                Record::Back(Back {
                    position,
                    key,
                    request,
                    attempts: begun.attempts + 1,
                    crashes: begun.crashes,
                    unknown,
                    failure: None,
                })
            }
            Fate::Done | Fate::Failed => {
                let mut end = End::done(position, key, request, begun.attempts + 1, None);
                if fate == Fate::Failed {
                    end.state = State::Failed;
                }
                self.counted.add(end.state);
                self.lookup.has_begun(position, unfinished(false));
                self.lookup.ends(position);
                Record::End(end)
            }
        };
        self.last = self.journal().push(record).expect("open");
    }

    fn plays(&mut self, place: &Place, policy: Policy, list: &[Input]) {
        let onlooker = Onlooker::new(&place.path(), &[]).expect("a good journal");
        let mut walk = Walk::beside(&onlooker).expect("readable");
        let mut later = Vec::new();
        for input in list {
            let digests = (key(input.key), key(1_000 + input.request));
            let ours = self.lookup.look(digests.0, digests.1).expect("undamaged");
            let theirs = walk.look(digests.0, digests.1).expect("undamaged");
            match (theirs, ours) {
                // Of new calls each counts the positions on its own.
                (Found::New { .. }, Decision::Run(begun)) => assert_eq!(begun.attempts, 0),
                _ => assert_eq!(ours, policy.decide(theirs), "{theirs:?}"),
            }
            let (Decision::Run(begun) | Decision::Last(begun)) = ours else {
                continue;
            };
            if input.at_once {
                self.runs(digests, begun, input.fate);
            } else {
                later.push((digests, begun, input.fate));
            }
        }
        for (digests, begun, fate) in later {
            self.runs(digests, begun, fate);
        }
        self.wait();
    }

    fn wait(&self) {
        self.journal().wait(self.last).expect("room");
    }
}

fn inputs(fate: impl Strategy<Value = Fate>) -> impl Strategy<Value = Vec<Input>> {
    let input = (0..6_u64, 0..2_u64, fate, any::<bool>());
    let input = input.prop_map(|(key, request, fate, at_once)| Input {
        key,
        request,
        fate,
        at_once,
    });
    prop::collection::vec(input, 0..12)
}

fn policies() -> impl Strategy<Value = Policy> {
    let (changes, unknown) = (
        [OnChange::Rerun, OnChange::Keep],
        [OnUnknown::Retry, OnUnknown::Skip],
    );
    let all = (0..2_usize, 0..2_usize, any::<bool>());
    all.prop_map(move |(change, of_unknown, retry_failed)| Policy {
        on_change: changes[change],
        on_unknown: unknown[of_unknown],
        retry_failed,
    })
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Done),
        2 => Just(Fate::Failed),
        1 => any::<bool>().prop_map(Fate::Interrupted),
        1 => Just(Fate::Unsent),
    ]
}

fn ended() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Done), Just(Fate::Failed)]
}

/// Lists, each with whether another process begins with it.
fn lists(fate: impl Strategy<Value = Fate>) -> impl Strategy<Value = Vec<(bool, Vec<Input>)>> {
    prop::collection::vec((prop::bool::weighted(0.2), inputs(fate)), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_list_finds_what_a_later_process_would_find(policy in policies(), lists in lists(any_fate())) {
        let place = Place::new();
        let mut runner = Runner::new(&place, policy);
        for (dies, list) in &lists {
            if *dies {
                drop(runner);
                runner = Runner::new(&place, policy);
            } else {
                runner.begin_list();
            }
            runner.plays(&place, policy, list);
        }
    }

    #[test]
    fn each_call_is_counted_once(policy in policies(), lists in lists(ended())) {
        let place = Place::new();
        let mut runner = Runner::new(&place, policy);
        for (dies, list) in &lists {
            if *dies {
                drop(runner);
                runner = Runner::new(&place, policy);
            } else {
                runner.begin_list();
            }
            runner.plays(&place, policy, list);
            let counts = peek(&place.path()).expect("a good journal").counts;
            prop_assert_eq!(runner.over(), (counts.done, counts.failed));
        }
    }
}

#[test]
fn a_call_that_was_to_be_run_again_and_was_not_is_counted_as_it_was() {
    let place = Place::with_calls(2);
    let mut runner = Runner::new(&place, RERUN);
    let recalled = runner.lookup.recall(1).expect("undamaged");
    assert_eq!(
        recalled.map(|begun| (begun.position, begun.attempts)),
        Some((1, 1))
    );
    assert_eq!(
        runner.lookup.begins(1),
        None,
        "it was over before this process"
    );
    assert_eq!(runner.over(), (1, 0));
    runner.begin_list();
    assert!(matches!(runner.look(1), Decision::Over(_)));
    assert_eq!(runner.over(), (2, 0));
}

#[test]
fn a_recalled_call_is_found_by_no_input_of_its_list() {
    let place = Place::with_calls(2);
    let mut runner = Runner::new(&place, RERUN);
    assert_eq!(runner.lookup.recall(7).expect("readable"), None);
    runner.begin_list();
    assert!(runner.lookup.recall(1).expect("undamaged").is_some());
    assert!(matches!(runner.look(0), Decision::Over(_)));
    assert!(matches!(runner.look(1), Decision::Run(begun) if begun.position == 2));
}

#[test]
fn calls_that_are_under_way_are_found_by_nobody() {
    let place = Place::with_calls(3);
    let mut runner = Runner::new(&place, RERUN);
    let busy = HashSet::from([1]);
    runner.lookup.begin_list(&busy).expect("readable");
    assert!(matches!(runner.look(0), Decision::Over(_)));
    assert!(matches!(runner.look(1), Decision::Run(begun) if begun.position == 3));
    assert!(matches!(runner.look(2), Decision::Over(_)));
}

#[test]
fn a_call_that_gave_up_is_run_again_and_counted_anew() {
    let place = Place::new();
    let mut runner = Runner::new(&place, RERUN);
    let Decision::Run(begun) = runner.look(0) else {
        panic!("an empty journal")
    };
    runner.runs((key(0), key(0)), begun, Fate::Interrupted(false));
    runner.lookup.gives_up(begun.position, key(0));
    runner.counted.add(State::Failed);
    runner.begin_list();
    assert!(matches!(runner.look(0), Decision::Run(again) if again.position == begun.position));
    assert_eq!(runner.lookup.begins(begun.position), Some(State::Failed));
}

#[test]
fn what_gave_up_before_it_was_sent_is_counted_once() {
    let place = Place::new();
    let mut runner = Runner::new(&place, RERUN);
    let new = |decision| match decision {
        Decision::Run(begun) => begun,
        other => panic!("{other:?}"),
    };
    let [first, second] = [0; 2].map(|call| new(runner.look(call)));
    for begun in [first, second] {
        assert_eq!(runner.lookup.begins(begun.position), None);
        runner.lookup.gives_up(begun.position, key(0));
    }
    let same_list = new(runner.look(0));
    assert_eq!(
        runner.lookup.begins(same_list.position),
        None,
        "a third call"
    );
    runner.begin_list();
    let again = new(runner.look(0));
    assert_eq!(runner.lookup.begins(again.position), Some(State::Failed));
    let added = runner.lookup.add(key(0));
    assert_eq!(runner.lookup.begins(added.position), Some(State::Failed));
    let other = new(runner.look(0));
    assert_eq!(runner.lookup.begins(other.position), None);
}

#[test]
fn a_call_that_was_taken_to_leave_and_did_not_is_found_as_it_was() {
    let place = Place::with_calls(1);
    let mut runner = Runner::new(&place, RERUN);
    for call in [0, 1] {
        let Decision::Run(begun) = runner.lookup.look(key(call), key(7)).expect("undamaged") else {
            panic!("changed, or new")
        };
        runner.lookup.begins(begun.position);
        let mut unfinished = Unfinished {
            key: key(call),
            request: key(7),
            attempts: 1,
            crashes: 0,
            unknown: false,
        };
        let position = begun.position;
        runner.lookup.has_begun(position, unfinished);
        let dispatch = Dispatch {
            position,
            key: key(call),
            request: key(7),
            attempt: 1,
            crashes: 0,
            reserved: Vec::new(),
        };
        runner
            .journal()
            .push(Record::Dispatch(dispatch))
            .expect("open");
        unfinished.attempts = 0;
        runner.lookup.has_begun(position, unfinished);
        let back = Back {
            position,
            key: key(call),
            request: key(7),
            attempts: 0,
            crashes: 0,
            unknown: false,
            failure: None,
        };
        runner.last = runner.journal().push(Record::Back(back)).expect("open");
    }
    runner.wait();
    let counts = peek(&place.path()).expect("a good journal").counts;
    assert_eq!((counts.done, counts.unfinished), (1, 0));
    for dies in [false, true] {
        if dies {
            drop(runner);
            runner = Runner::new(&place, RERUN);
        } else {
            runner.begin_list();
        }
        assert!(matches!(runner.look(0), Decision::Over(over) if over.number == 1));
        assert!(matches!(runner.look(1), Decision::Run(_)));
    }
}

/// More calls than are at hand: they are found in an index, which each list brings up to date.
#[test]
fn long_lists_find_all_that_was_before_and_nothing_of_their_own() {
    let place = Place::with_calls(10_000);
    let mut runner = Runner::new(&place, RERUN);
    for call in (9_000..10_002).rev() {
        let decision = runner.look(call);
        assert_eq!(
            matches!(decision, Decision::Over(_)),
            call < 10_000,
            "{call}"
        );
        if let Decision::Run(begun) = decision {
            runner.runs((key(call), key(call)), begun, Fate::Done);
            assert!(
                matches!(runner.look(call), Decision::Run(_)),
                "{call} twice are two calls"
            );
        }
    }
    runner.wait();
    for _ in 0..2 {
        runner.begin_list();
        for call in [10_001, 3, 10_000, 9_999, 0] {
            assert!(
                matches!(runner.look(call), Decision::Over(over) if over.state == State::Done),
                "{call}"
            );
            assert!(
                matches!(runner.look(call), Decision::Run(_)),
                "{call} twice are two calls"
            );
        }
    }
}

/// The index is made in the middle of a list, when a call of it is over already.
#[test]
fn a_late_index_finds_nothing_of_its_own_list() {
    let place = Place::with_calls(100);
    fill(&place.open().journal, 50_000..50_100);
    let mut runner = Runner::new(&place, RERUN);
    let Decision::Run(begun) = runner.look(7_000) else {
        panic!("a new call")
    };
    runner.runs((key(7_000), key(7_000)), begun, Fate::Done);
    runner.wait();
    // From here on the first rows are not at hand any more.
    assert!(matches!(runner.look(50_010), Decision::Over(_)));
    assert!(matches!(runner.look(5), Decision::Over(over) if over.position == 5));
    assert!(matches!(runner.look(7_000), Decision::Run(again) if again.position > begun.position));
}

#[test]
fn a_list_is_asked_what_has_changed_and_not_what_it_lacks() {
    let refuse = Policy::default();
    let place = Place::with_calls(2);
    // Of another job; nothing is sent, and asked again it is the same.
    let mut runner = Runner::new(&place, refuse);
    for _ in 0..2 {
        runner.look(7);
        let refused = runner.lookup.objection(false);
        assert!(
            matches!(refused, Some(Objection::Changed(census)) if (census.new, census.gone) == (1, 2))
        );
        runner.begin_list();
    }
    // It goes on with the journal; from then on it may have other calls, but no changed ones.
    runner.look(0);
    assert_eq!(runner.lookup.objection(false), None);
    runner.begin_list();
    let Decision::Run(begun) = runner.look(7) else {
        panic!("a new call")
    };
    assert_eq!(runner.lookup.objection(false), None);
    runner.runs((key(7), key(7)), begun, Fate::Done);
    runner.wait();
    runner.begin_list();
    runner.lookup.look(key(7), key(8)).expect("undamaged");
    let refused = runner.lookup.objection(true);
    assert!(
        matches!(refused, Some(Objection::Changed(census)) if (census.unchanged, census.changed) == (0, 1))
    );
    runner.begin_list();
    runner.look(7);
    assert_eq!(runner.lookup.objection(false), None);
}

#[test]
fn what_may_have_been_answered_is_reported_by_the_next_list() {
    let policy = Policy {
        on_unknown: OnUnknown::Report,
        ..RERUN
    };
    let place = Place::new();
    let mut runner = Runner::new(&place, policy);
    let Decision::Run(begun) = runner.look(0) else {
        panic!("an empty journal")
    };
    runner.runs((key(0), key(0)), begun, Fate::Interrupted(true));
    assert_eq!(runner.lookup.objection(false), None);
    runner.begin_list();
    assert_eq!(runner.lookup.objection(false), Some(Objection::Unknown(1)));
}
