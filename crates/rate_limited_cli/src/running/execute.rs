//! A run from its first request to its last line.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rate_limited::{Inputs, Progress as Numbers, RunError, Runner, Summary};
use rate_limited_store::Journal;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::calling::call::Reply;
use crate::reading::feed::Feed;
use crate::refusal::Refusal;
use crate::running::ending::Reason;
use crate::running::job::Job;
use crate::running::state::State;

/// Jobs that wait between the reader and the runner: as many as the runner chooses from.
const JOBS_WAITING: usize = 4_096;

/// How long a run may wait for them before it begins. A file has them in a third of that.
const HEAD_START: Duration = Duration::from_millis(20);

/// How long a reader of standard input has to notice that the run is over: it may be waiting for
/// somebody to type.
const READER_PATIENCE: Duration = Duration::from_millis(200);

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Done {
    /// Why it ended early.
    pub(crate) reason: Option<Reason>,
    pub(crate) numbers: Numbers,
    pub(crate) elapsed: Duration,
    /// Whether lines of the input were never read.
    pub(crate) unread: bool,
}

/// Runs all that the feed gives, and writes a line for each, whatever happens.
pub(crate) async fn execute(
    runner: Runner<Arc<Job>, Reply>,
    feed: Feed,
    state: &Arc<State>,
    reads_file: bool,
    journal: Option<&Journal>,
) -> Result<Done, Refusal> {
    let started = Instant::now();
    let (jobs, receiver) = mpsc::channel(JOBS_WAITING);
    let reader = read(feed, jobs)?;
    give_head_start(&receiver).await;
    let summary = run(runner, receiver, Arc::clone(state)).await;
    let summary = summary.map_err(Refusal::Run)?;
    let elapsed = started.elapsed();
    state.open.close();
    let feed = returned(reader, reads_file).await?;
    let counts = state.tally.counts();
    let cause = state.stopper.take_cause();
    let error = journal.and_then(Journal::error);
    let mut reason = Reason::of(cause, error, summary.stop, &counts);
    let unread = write_rest(feed, state, reason.as_ref(), reads_file);
    if let Err(error) = state.settle() {
        reason = Some(Reason::Output(error));
    }
    // Lines that nobody gave came with a stop of the output; others have theirs by now.
    if let Err(error) = state.outlet.finish(state.numbered()) {
        reason = Some(Reason::Output(error));
    }
    Ok(Done {
        reason,
        numbers: summary.progress,
        elapsed,
        unread,
    })
}

/// Runs as a task of the runtime, beside the attempts: from outside of it each attempt and each end would wake another
/// thread.
async fn run(
    mut runner: Runner<Arc<Job>, Reply>,
    jobs: mpsc::Receiver<Arc<Job>>,
    state: Arc<State>,
) -> Result<Summary, RunError> {
    let work = async move {
        let each = |finished| state.finished(&finished);
        runner.run_each(Inputs::channel(jobs), each).await
    };
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Waits until the reader has brought what the runner chooses from, or all there is: of a list whose kinds of calls bind
/// different limits, the first choices decide whether the last of them fit into the last window.
async fn give_head_start(jobs: &mpsc::Receiver<Arc<Job>>) {
    let began = Instant::now();
    while jobs.len() < JOBS_WAITING && !jobs.is_closed() && began.elapsed() < HEAD_START {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Reads on a thread of its own, since reading may block.
fn read(feed: Feed, jobs: mpsc::Sender<Arc<Job>>) -> Result<oneshot::Receiver<Feed>, Refusal> {
    let (give_back, reader) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let feed = feed.pump(&jobs, &runtime);
        // The channel to the runner closes only now, so that an error of the input is known before
        // the runner believes that all was read.
        drop(jobs);
        let _ = give_back.send(feed);
    };
    let thread = thread::Builder::new().name("reader".to_owned()).spawn(work);
    thread.map_err(Refusal::System)?;
    Ok(reader)
}

/// The feed, when its reader has stopped; `None` if it is still waiting for standard input.
async fn returned(
    reader: oneshot::Receiver<Feed>,
    reads_file: bool,
) -> Result<Option<Feed>, Refusal> {
    let patience = if reads_file {
        Duration::MAX
    } else {
        READER_PATIENCE
    };
    match tokio::time::timeout(patience, reader).await {
        Ok(Ok(feed)) => Ok(Some(feed)),
        Ok(Err(_)) => panic!("the reader of the input has failed"),
        Err(_) => Ok(None),
    }
}

/// Writes the lines of what was not run. Whether lines stay unread.
fn write_rest(
    feed: Option<Feed>,
    state: &State,
    reason: Option<&Reason>,
    reads_file: bool,
) -> bool {
    let why = reason.map_or("the run ended", Reason::in_lines);
    for job in state.open.take() {
        state.unfinished(&job, why);
    }
    let Some(mut feed) = feed else { return true };
    let goes_on = reads_file && !matches!(reason, Some(Reason::Output(_)));
    while goes_on && !state.stopper.is_in_haste() {
        match feed.next() {
            Some(Ok(job)) => state.unfinished(&job, why),
            Some(Err(_)) | None => break,
        }
    }
    !feed.is_ended()
}
