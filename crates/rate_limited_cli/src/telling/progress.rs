//! Progress while a run goes on: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rate_limited::View;

use crate::running::state::State;
use crate::running::tally::Counts;
use crate::telling::forecast::Forecast;
use crate::telling::members::Dropped;
use crate::telling::progress_json;
use crate::telling::say::{above, say, tell};
use crate::telling::status::{self, Shown};
use crate::values::duration::Human;
use crate::values::text::grouped;

/// How often a terminal is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// How often a run is looked at where there is no terminal.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bars: Option<Bars>,
    task: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Starts to show the progress of a run; `stdout_taken`: results go to standard output; `is_json`: in
    /// lines for machines.
    pub(crate) fn start(state: Arc<State>, stdout_taken: bool, is_json: bool) -> Progress {
        let has_room = !is_json && has_room_for_a_bar(stdout_taken);
        let bars = has_room.then(|| Bars::new(state.total()));
        let shown = bars.clone();
        above(bars.as_ref().map(|bars| bars.all.clone()));
        let task = tokio::spawn(async move {
            match shown {
                Some(bars) => draw(&state, &bars).await,
                None if is_json => write_json(&state).await,
                None => write_lines(&state).await,
            }
        });
        Progress { bars, task }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bars) = &self.bars {
            bars.calls.finish_and_clear();
            bars.limits.finish_and_clear();
            above(None);
        }
    }
}

/// A bar needs a terminal that can move its cursor and shows nothing else.
fn has_room_for_a_bar(stdout_taken: bool) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let shared = stdout_taken && io::stdout().is_terminal();
    io::stderr().is_terminal() && !dumb && !shared
}

/// What a terminal shows: lines that are cut where it is narrow.
#[derive(Clone, Debug)]
struct Bars {
    all: MultiProgress,
    /// How many calls are done, and what the run waits for.
    calls: ProgressBar,
    /// How full each limit is.
    limits: ProgressBar,
}

impl Bars {
    fn new(total: Option<u64>) -> Bars {
        // Drawn when the progress is looked at, never in between.
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let limits = ProgressStyle::with_template("{wide_msg}");
        let limits = limits.unwrap_or_else(|_| ProgressStyle::default_spinner());
        Bars {
            calls: all.add(bar(total)),
            limits: all.add(ProgressBar::no_length().with_style(limits)),
            all,
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = match total {
        Some(_) => "{wide_bar} {human_pos}/{human_len}\n{wide_msg}",
        None => "{spinner} {human_pos} done\n{wide_msg}",
    };
    // The template is a constant: if it were wrong, the bar would look plainer.
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

async fn draw(state: &State, bars: &Bars) {
    let mut ticks = tokio::time::interval(DRAW_EVERY);
    let (mut outage, forecast) = (Outage::default(), Forecast::default());
    let mut dropped = Dropped::default();
    loop {
        ticks.tick().await;
        let (view, counts) = state.look();
        outage.news(&view).iter().for_each(tell);
        dropped.news(state, &view).iter().for_each(tell);
        let left = forecast.time_left(state, &view, &counts);
        let limits = status::resources(&view, &state.meters, Shown::Bars);
        bars.limits.set_message(limits.unwrap_or_default());
        bars.calls
            .set_position(counts.before.total() + counts.calls_over());
        bars.calls
            .set_message(words(state, &view, &counts, left).join(" · "));
        bars.calls.tick();
        bars.limits.tick();
    }
}

async fn write_lines(state: &State) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut written = Instant::now();
    let (mut outage, forecast) = (Outage::default(), Forecast::default());
    let mut dropped = Dropped::default();
    loop {
        ticks.tick().await;
        let (view, counts) = state.look();
        outage.news(&view).iter().for_each(tell);
        dropped.news(state, &view).iter().for_each(tell);
        let left = forecast.time_left(state, &view, &counts);
        if written.elapsed() >= LINE_EVERY {
            written = Instant::now();
            let done = grouped(counts.before.total() + counts.calls_over());
            let total = state
                .total()
                .map_or_else(String::new, |n| format!("/{}", grouped(n)));
            let mut words = words(state, &view, &counts, left);
            words.extend(status::resources(&view, &state.meters, Shown::Figures));
            tell(format_args!("{done}{total} done; {}", words.join("; ")));
        }
    }
}

async fn write_json(state: &State) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let forecast = Forecast::default();
    loop {
        ticks.tick().await;
        let (view, counts) = state.look();
        let left = forecast.time_left(state, &view, &counts);
        say(progress_json::line(state, &view, &counts, left));
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

/// How the run stands, besides how many calls are done; what matters most comes first, since a narrow
/// terminal cuts the rest off.
fn words(state: &State, view: &View, counts: &Counts, left: Option<Duration>) -> Vec<String> {
    let mut words = vec![format!("{} in flight", grouped(view.progress.in_flight))];
    if counts.failed > 0 {
        words.push(format!("{} failed", grouped(counts.failed)));
    }
    words.extend(left.map(|left| format!("about {} left", Human(left))));
    words.extend(status::waits_for(view, &state.meters));
    words.extend(status::retries(view));
    words.extend(status::trouble(view));
    words
}
