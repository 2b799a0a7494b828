//! Progress while a run goes on: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rate_limited::View;

use crate::duration::Human;
use crate::forecast::time_left;
use crate::members::Dropped;
use crate::say::say;
use crate::state::State;
use crate::status;
use crate::tally::Counts;
use crate::text::grouped;

/// How often a terminal is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// How often a run is looked at where there is no terminal.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    task: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Starts to show the progress of a run; `stdout_taken`: results go to standard output.
    pub(crate) fn start(state: Arc<State>, stdout_taken: bool) -> Progress {
        let bar = has_room_for_a_bar(stdout_taken).then(|| bar(state.total()));
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            match shown {
                Some(bar) => draw(&state, &bar).await,
                None => write_lines(&state).await,
            }
        });
        Progress { bar, task }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A bar needs a terminal that can move its cursor and shows nothing else.
fn has_room_for_a_bar(stdout_taken: bool) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let shared = stdout_taken && io::stdout().is_terminal();
    io::stderr().is_terminal() && !dumb && !shared
}

fn bar(total: Option<u64>) -> ProgressBar {
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(total, target);
    let template = match total {
        Some(_) => "{wide_bar} {human_pos}/{human_len}\n{wide_msg}",
        None => "{spinner} {human_pos} done\n{wide_msg}",
    };
    // The template is a constant: if it were wrong, the bar would look plainer.
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

async fn draw(state: &State, bar: &ProgressBar) {
    let mut ticks = tokio::time::interval(DRAW_EVERY);
    let mut outage = Outage::default();
    let mut dropped = Dropped::default();
    loop {
        ticks.tick().await;
        let (view, counts) = state.look();
        if let Some(news) = outage.news(&view) {
            bar.println(news);
        }
        for news in dropped.news(state, &view) {
            bar.println(news);
        }
        bar.set_position(counts.before.total() + counts.calls_over());
        bar.set_message(words(state, &view, &counts).join(" · "));
        bar.tick();
    }
}

async fn write_lines(state: &State) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut written = Instant::now();
    let mut outage = Outage::default();
    let mut dropped = Dropped::default();
    loop {
        ticks.tick().await;
        let (view, counts) = state.look();
        outage.news(&view).iter().for_each(say);
        dropped.news(state, &view).iter().for_each(say);
        if written.elapsed() >= LINE_EVERY {
            written = Instant::now();
            let done = grouped(counts.before.total() + counts.calls_over());
            let total = state
                .total()
                .map_or_else(String::new, |n| format!("/{}", grouped(n)));
            say(format_args!(
                "{done}{total} done; {}",
                words(state, &view, &counts).join("; ")
            ));
        }
    }
}

/// Whether so much fails that the run only probes, to tell its beginning once.
#[derive(Debug, Default)]
struct Outage(bool);

impl Outage {
    /// What is to be said, if an outage has just begun.
    fn news(&mut self, view: &View) -> Option<String> {
        let begins = status::probes(view) && !self.0;
        // Between two probes the run may wait for something else, and the outage goes on.
        let is_over = view.wait.is_none() || view.progress.in_flight > 1;
        self.0 = begins || (self.0 && !is_over);
        let why = status::last_error(view).unwrap_or_default();
        begins.then(|| format!("too many failures: one probe at a time until one succeeds; {why}"))
    }
}

/// How the run stands, besides how many calls are done.
fn words(state: &State, view: &View, counts: &Counts) -> Vec<String> {
    let mut words = vec![format!("{} in flight", grouped(view.progress.in_flight))];
    if counts.failed > 0 {
        words.push(format!("{} failed", grouped(counts.failed)));
    }
    let left = state.totals.and_then(|totals| {
        time_left(
            view,
            counts,
            totals,
            &state.meters,
            state.caller.mean_latency(),
        )
    });
    words.extend(left.map(|left| format!("about {} left", Human(left))));
    words.extend(status::waits_for(view, &state.meters));
    words.extend(status::trouble(view));
    // Last, since a narrow terminal cuts it off.
    words.extend(status::resources(view, &state.meters));
    words
}
