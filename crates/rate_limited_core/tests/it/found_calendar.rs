//! Limits that nobody told, over windows that follow a calendar.

use crate::play::{Play, Reply, START, at, secs};
use rate_limited_core::{
    Amount, Anchor, Class, Cost, Feedback, Input, Limiter, MaxConcurrent, Outcome, Quota, Resource,
    ResourceId, Settings, Time,
};
use std::cell::RefCell;
use std::rc::Rc;

/// How long a window is, and how many of them there are.
const WINDOW: f64 = 1_000.0;
const WINDOWS: usize = 5;

/// A server that counts in windows of a calendar: what it let through, and how often it refused, in each.
#[derive(Default)]
struct Server {
    passed: [usize; WINDOWS],
    refused: [usize; WINDOWS],
}

impl Server {
    fn take(&mut self, quota: usize, wait: bool, now: Time) -> Class {
        let since = now.since(START);
        let window = (since.as_nanos() / secs(WINDOW).as_nanos()) as usize;
        if self.passed[window] < quota {
            self.passed[window] += 1;
            return Class::Success;
        }
        self.refused[window] += 1;
        let left = at((window + 1) as f64 * WINDOW).since(now);
        Class::Refused {
            resource: None,
            retry_after: wait.then_some(left),
        }
    }
}

fn untold() -> Resource {
    let quota = Quota::FixedWindow {
        amount: Amount::units(1),
        window: secs(WINDOW),
        anchor: Anchor::Calendar {
            start: START,
            end: at(WINDOW),
            next: at(2.0 * WINDOW),
        },
    };
    Resource::new("requests", quota).untold_limit()
}

/// Plays all windows, with more calls than fit, eight at once; `named` is the limit that an answer names in the
/// second window.
fn play(quota: usize, wait: bool, named: Option<u32>) -> (Server, Play<'static>, ResourceId) {
    let mut limiter = Limiter::new(START);
    let id = limiter.add(untold()).expect("a sound quota");
    let server = Rc::new(RefCell::new(Server::default()));
    let settings = Settings {
        max_concurrent: MaxConcurrent::Fixed(8),
        attempt_timeout: None,
        stall_limit: None,
        ..Settings::default()
    };
    let theirs = Rc::clone(&server);
    let mut arrives = START;
    let mut play = Play::new(limiter, settings, move |_, _, now| {
        arrives = arrives.max(now);
        let class = theirs.borrow_mut().take(quota, wait, arrives);
        let after = secs(if class == Class::Success { 0.5 } else { 0.02 });
        let outcome = Outcome::new(class);
        Reply { after, outcome }
    });
    for _ in 0..2 * WINDOWS * quota {
        play.schedule(&[Cost::new(id, Amount::units(1))]);
    }
    for window in 1..WINDOWS {
        let start = window as f64 * WINDOW;
        play.run_until(at(start));
        play.handle(Input::Boundary {
            resource: id,
            end: at(start + WINDOW),
            next: at(start + 2.0 * WINDOW),
        });
        if let (1, Some(limit)) = (window, named) {
            let limit = Some(Amount::units(limit));
            let told = Feedback {
                limit,
                ..Feedback::default()
            };
            play.limiter.feedback(id, &told, play.now);
        }
    }
    play.run_until(at(WINDOWS as f64 * WINDOW - 1.0));
    let server = std::mem::take(&mut *server.borrow_mut());
    (server, play, id)
}

#[test]
fn a_limit_is_found_in_the_windows_of_the_calendar() {
    for wait in [true, false] {
        let (server, mut play, id) = play(40, wait, None);
        // Every window is filled: none is taken to slide, or to be of another length.
        assert_eq!(server.passed, [40; WINDOWS], "{wait}");
        let view = play.limiter.view(id, play.now);
        assert_eq!(view.limit, Some(Amount::units(40)), "{wait}");
        assert_eq!(view.window, secs(WINDOW), "{wait}");
        assert!(view.resource.is_untold(), "{wait}");
        // What the second window let through is what the others are kept to, but for a trial now and then.
        let later = server.refused[2..].iter().sum::<usize>();
        assert!(later <= 2, "{wait}: {:?}", server.refused);
    }
}

#[test]
fn a_limit_that_is_named_after_a_boundary_holds_in_its_window() {
    let (server, mut play, id) = play(40, true, Some(30));
    assert_eq!(server.passed, [40, 30, 30, 30, 30]);
    assert_eq!(server.refused[1..], [0; WINDOWS - 1]);
    let view = play.limiter.view(id, play.now);
    let in_window = (Some(Amount::units(30)), secs(WINDOW));
    assert_eq!((view.limit, view.window), in_window);
}

#[test]
fn a_refusal_of_another_reason_shows_no_limit() {
    // Every tenth attempt is refused, whatever the calendar says.
    let mut limiter = Limiter::new(START);
    let id = limiter.add(untold()).expect("a sound quota");
    let settings = Settings {
        stall_limit: None,
        ..Settings::default()
    };
    let mut attempts = 0;
    let mut play = Play::new(limiter, settings, move |_, _, _| {
        attempts += 1;
        let outcome = Outcome::new(if attempts % 10 == 0 {
            Class::Refused {
                resource: None,
                retry_after: None,
            }
        } else {
            Class::Success
        });
        let after = secs(0.1);
        Reply { after, outcome }
    });
    for _ in 0..100 {
        play.schedule(&[Cost::new(id, Amount::units(1))]);
    }
    play.run_until(at(WINDOW - 1.0));
    assert_eq!(play.ends.len(), 100);
    assert_eq!(play.limiter.view(id, play.now).limit, None);
}
