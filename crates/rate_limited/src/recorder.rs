//! What takes down a run while it goes on; the journal is one.

use crate::result::{CallResult, SharedError};
use crate::runner::Finished;
use rate_limited_core::{Amount, Entry, Quota, ResourceId, Time};

/// The number of a record: it is safe when as many have been written.
pub(crate) type Ticket = u64;

/// A call as a recorder knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) key: [u8; 16],
    pub(crate) request: [u8; 16],
    /// Attempts made in earlier runs.
    pub(crate) attempts: u32,
    /// In how many crashes it was in flight.
    pub(crate) crashes: u32,
    /// Whether it was over in an earlier list of this runner, and had failed then; `None`: it was not.
    pub(crate) had_failed: Option<bool>,
}

/// What is known of a request that comes in.
pub(crate) enum Known<Resp> {
    /// It is to be run.
    Run(Place),
    /// It is to be run when nothing else is left: it may be what kills the process.
    Last(Place),
    /// It is over, or is to be left alone.
    Over(CallResult<Resp>),
}

/// What is known of a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct PastMeter {
    /// What was charged, the oldest first.
    pub(crate) charges: Vec<(Time, Amount)>,
    pub(crate) paused_until: Time,
    /// What was learnt of it, as it was taken down.
    pub(crate) learnt: Vec<u8>,
}

/// What a recorder knows of the resources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    /// Of each resource, in their order.
    pub(crate) meters: Vec<PastMeter>,
    /// Of parts of them, by name.
    pub(crate) parts: Vec<(String, PastMeter)>,
}

/// How an attempt that is no success ended.
pub(crate) struct Setback {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    /// Whether it may have been answered.
    pub(crate) unknown: bool,
}

/// Takes down what a run does: a dispatch before it leaves, a result before anyone is told.
pub(crate) trait Recorder<Req, Resp>: Send {
    /// Opens what it writes to, and tells what was taken of the resources before. These are the first that the
    /// limiter has.
    fn begin(
        &mut self,
        resources: &[(String, Quota)],
        max_concurrent: u32,
        now: Time,
    ) -> Result<Before, SharedError>;

    /// From now on there is one more resource, of this name. Of those that it was not told of, nothing is taken down.
    fn adds(&mut self, resource: ResourceId, name: &str);

    /// Calls `tell` whenever more is written.
    fn on_news(&mut self, tell: Box<dyn Fn() + Send>);

    /// From now on another list of requests comes in: all of the one before are over.
    fn begin_list(&mut self) -> Result<(), SharedError>;

    /// What is known of a request.
    fn look(&mut self, request: &Req) -> Result<Known<Resp>, SharedError>;

    /// Whether what was looked up may be run, before anything of it is.
    fn check(&mut self) -> Result<(), SharedError>;

    /// An attempt is about to leave; `None`: nothing may leave any more.
    fn dispatch(
        &mut self,
        place: &Place,
        attempt: u32,
        reserved: &mut dyn Iterator<Item = Entry>,
        now: Time,
    ) -> Option<Ticket>;

    /// What an attempt took of a resource.
    fn charge(&mut self, entry: &Entry, now: Time);

    /// A resource is paused.
    fn pause(&mut self, resource: ResourceId, until: Time, now: Time);

    /// What was learnt of a resource.
    fn learnt(&mut self, resource: ResourceId, learnt: Vec<u8>);

    /// An attempt came to nothing; `None`: it was to leave, and did not.
    fn back(&mut self, place: &Place, attempts: u32, setback: Option<Setback>);

    /// A call is over.
    fn end(&mut self, place: &Place, finished: &Finished<Req, Resp>) -> Ticket;

    /// A call has failed in a way that is not taken down.
    fn gives_up(&mut self, place: &Place);

    /// The statistics of its runs, where they are kept beside it.
    #[cfg(all(feature = "report", feature = "journal"))]
    fn kept(&self) -> Option<crate::witness::Kept>;

    /// The calls that were over when these were begun with, and are not run again.
    #[cfg(all(feature = "report", feature = "journal"))]
    fn over(&self) -> Option<rate_limited_report::Ended>;

    /// The ticket of the last record that is safe.
    fn written(&self) -> Ticket;

    /// What keeps it from recording, if anything does: nothing may leave then.
    fn error(&self) -> Option<SharedError>;
}
