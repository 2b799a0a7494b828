//! Logs: few, and without anything of users in them.

use rate_limited::{Class, Resource, Runner};
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps all that is logged at a level or above it.
#[derive(Clone)]
struct Kept {
    most: Level,
    lines: Arc<Mutex<Vec<(Level, String)>>>,
    spans: Arc<AtomicU64>,
}

impl Kept {
    fn new(most: Level) -> Kept {
        Kept {
            most,
            lines: Arc::default(),
            spans: Arc::new(AtomicU64::new(1)),
        }
    }

    fn lines(&self) -> Vec<(Level, String)> {
        self.lines.lock().expect("no panic").clone()
    }

    fn count(&self, part: &str) -> usize {
        self.lines()
            .iter()
            .filter(|(_, line)| line.contains(part))
            .count()
    }

    fn keep(&self, about: &Metadata<'_>, fields: &Fields) {
        let line = format!("{}{}", about.name(), fields.0);
        self.lines
            .lock()
            .expect("no panic")
            .push((*about.level(), line));
    }
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Kept {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        *about.level() <= self.most && about.target() == "rate_limited"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        self.keep(span.metadata(), &fields);
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.keep(event.metadata(), &fields);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Runs calls that are all refused once, and gives what was logged.
async fn logged(most: Level, calls: u32) -> Kept {
    // A place that logs for the first time, on any thread, while a subscriber is set can miss that one for good: all of
    // them log once before it.
    run_refused(1).await;
    let kept = Kept::new(most);
    let guard = tracing::subscriber::set_default(kept.clone());
    run_refused(calls).await;
    drop(guard);
    kept
}

/// Runs calls that are all refused once, at up to a hundred a second.
async fn run_refused(calls: u32) {
    let refused = Mutex::new(std::collections::HashSet::new());
    let mut runner = Runner::new(move |text: String| {
        let is_first = refused.lock().expect("no panic").insert(text.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if is_first {
                return Err(std::io::Error::other(text));
            }
            Ok::<_, std::io::Error>(text)
        }
    })
    .classify(|_, _| Class::Refused {
        resource: None,
        retry_after: Some(Duration::ZERO),
    })
    .resource(Resource::per_minute("requests", 6_000))
    .tokio_clock();
    for number in 0..calls {
        runner
            .schedule(format!("CANARY {number}"))
            .expect("it fits");
    }
    runner.run().await.expect("good resources");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_refusals_are_a_few_lines() {
    let started = tokio::time::Instant::now();
    let kept = logged(Level::INFO, 1_000).await;
    let lines = kept.lines();
    let tens_of_minutes = started.elapsed().as_secs() / 600;
    assert!(
        (lines.len() as u64) < 12 + tens_of_minutes,
        "{tens_of_minutes}: {lines:?}"
    );
    assert_eq!(
        (kept.count("run"), kept.count("a run ended")),
        (2, 1),
        "{lines:?}"
    );
    assert!(kept.count("the server refuses") > 0, "{lines:?}");
    assert!(lines.iter().all(|(level, _)| *level <= Level::INFO));
    assert!(kept.count("done=1000 failed=0") == 1, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_users_is_logged_at_any_level() {
    let kept = logged(Level::TRACE, 50).await;
    assert_eq!(kept.count("CANARY"), 0, "{:?}", kept.lines());
    assert_eq!(kept.count("an attempt succeeded"), 50);
    assert_eq!(kept.count("attempt call="), 100, "a span for each of them");
    assert!(kept.count("outcome=\"refused\"") > 0);
}
