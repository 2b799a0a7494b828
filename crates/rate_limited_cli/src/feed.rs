//! Reads the input while the run goes on.

use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use crate::bad_line::{BadLine, BadLinePolicy};
use crate::input::{InputError, Item};
use crate::job::Job;
use crate::record::Record;
use crate::state::State;
use crate::stop::Cause;

type Items = Box<dyn Iterator<Item = Result<Item, InputError>> + Send>;

/// What a feed needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedOptions {
    pub(crate) policy: BadLinePolicy,
    /// The answer tokens of a request without a limit of its own.
    pub(crate) answer_default: u64,
    /// How many requests are taken.
    pub(crate) first: Option<u64>,
}

/// Turns lines into jobs, and gives every line of the output its number.
pub(crate) struct Feed {
    items: Items,
    options: FeedOptions,
    /// Requests that may still be taken.
    left: u64,
    ended: bool,
    state: Arc<State>,
}

impl Feed {
    pub(crate) fn new(items: Items, options: FeedOptions, state: Arc<State>) -> Feed {
        let left = options.first.unwrap_or(u64::MAX);
        Feed {
            items,
            options,
            left,
            ended: false,
            state,
        }
    }

    /// Whether all was read that is to be read.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Sends jobs until the input or the run is over, and gives itself back for what is left.
    pub(crate) fn pump(mut self, jobs: &Sender<Arc<Job>>) -> Feed {
        while let Some(job) = self.next() {
            match job {
                Ok(job) => {
                    let job = Arc::new(job);
                    self.state.open.add(&job);
                    if jobs.blocking_send(job).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    self.state.stopper.stop(Cause::Input(error));
                    break;
                }
            }
        }
        self
    }

    /// The next request; bad lines before it are dealt with on the way. An error in words ends it.
    pub(crate) fn next(&mut self) -> Option<Result<Job, String>> {
        while self.left > 0 {
            match self.items.next() {
                Some(Ok(Item::Request(request))) => {
                    self.left -= 1;
                    let index = self.state.number();
                    return Some(Ok(Job::new(index, request, self.options.answer_default)));
                }
                Some(Ok(Item::Bad(bad))) => {
                    if let Err(error) = self.bad(&bad) {
                        return Some(Err(error));
                    }
                }
                Some(Err(error)) => return Some(Err(error.to_string())),
                None => break,
            }
        }
        self.ended = true;
        None
    }

    fn bad(&mut self, bad: &BadLine) -> Result<(), String> {
        match self.options.policy {
            BadLinePolicy::Fail => {
                let advice = "mend it, or pass --on-bad-line skip or --on-bad-line record";
                return Err(format!("{bad}; {advice}"));
            }
            BadLinePolicy::Skip => self.state.tally.skipped(),
            BadLinePolicy::Record => {
                let index = self.state.number();
                self.state.tally.bad_line();
                self.state
                    .outlet
                    .put(index, Record::of_bad_line(bad).to_line());
            }
        }
        Ok(())
    }
}
