//! All that crosses the boundary of the machine: inputs, outputs and the ids in them.

use crate::amount::Amount;
use crate::feedback::Feedback;
use crate::outcome::Outcome;
use crate::quota::Quota;
use crate::settings::MaxConcurrent;
use crate::time::Time;
use core::num::NonZeroU8;

/// A resource of a [`Limiter`](crate::Limiter), or one partition of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ResourceId(pub(crate) u32);

impl ResourceId {
    /// The position among all resources of the limiter, partitions included, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One call of a [`Scheduler`](crate::Scheduler), until it is done or failed.
///
/// The index is reused by later calls, the generation is not: an id of an ended call is never taken
/// for another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl CallId {
    /// A small number, unique among the unfinished calls: drivers keep their payloads at it.
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// One attempt of a call, while it is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl AttemptId {
    /// A small number, unique among the attempts in flight.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// A number that no other attempt of the run has: the index is its lower half.
    pub const fn number(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }
}

/// One scheduler of a limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchedulerId(pub(crate) u32);

/// One account of a [`Limiter`](crate::Limiter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub(crate) u16);

/// One member of a [`Scheduler`](crate::Scheduler)'s pool: a key, with the account that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(NonZeroU8);

impl MemberId {
    /// The position among the members, in the order of their making, from 0.
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The member at this position; a pool has no more than 255.
    pub(crate) fn at(index: usize) -> Option<MemberId> {
        let number = u8::try_from(index).ok()?.checked_add(1)?;
        NonZeroU8::new(number).map(MemberId)
    }
}

/// What a call takes of one resource: expected before, real after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cost {
    /// The resource.
    pub resource: ResourceId,
    /// How much of it. Zero still asks whether the resource is in debt or paused; leave the
    /// resource out where the call does not touch it.
    pub amount: Amount,
}

impl Cost {
    /// `amount` of `resource`.
    pub const fn new(resource: ResourceId, amount: Amount) -> Cost {
        Cost { resource, amount }
    }
}

/// What happened, told to [`Scheduler::handle`](crate::Scheduler::handle).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// The attempt's request has really left. Until then its reservation cannot expire; a driver
    /// that cannot tell says so right after the dispatch.
    Sent {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// The attempt ended.
    Finished {
        /// Which attempt; one that was abandoned before is ignored.
        attempt: AttemptId,
        /// What it ended with.
        outcome: Outcome,
    },
    /// The attempt was given up before its request left: its reservation is given back, and its call is
    /// forgotten without an output.
    Unsent {
        /// Which attempt; one that was reported as sent counts as used.
        attempt: AttemptId,
    },
    /// An abandoned attempt brought a good answer after all: it wins if its call is unfinished.
    Late {
        /// The call of that attempt.
        call: CallId,
    },
    /// The call is no longer wanted: it is forgotten without an output, its attempt abandoned.
    Cancel {
        /// Which call.
        call: CallId,
    },
    /// The quota of a resource changed; it keeps its kind and what is charged. A quota that is no
    /// quota ([`Limiter::set_quota`](crate::Limiter::set_quota) says why) changes nothing.
    SetLimit {
        /// Which resource; its partitions change with it.
        resource: ResourceId,
        /// The new quota.
        quota: Quota,
    },
    /// How many attempts may be in flight changed. What is above a lower bound drains; a higher one holds at once.
    SetMaxConcurrent {
        /// The new bound.
        max_concurrent: MaxConcurrent,
    },
    /// An answer tells how a resource stands. A limit below the quota that the user told holds at once and until
    /// an answer names another one; one above it never does. What remains counts against what the attempt's books
    /// knew: told before the attempt is [finished](Input::Finished).
    Feedback {
        /// Which resource; a partition has a limit of its own.
        resource: ResourceId,
        /// The attempt whose answer it is.
        attempt: AttemptId,
        /// What it tells.
        feedback: Feedback,
    },
    /// An answer named the part of a resource that a call takes from, or that calls like it do: from now on the call
    /// takes from that part, and what its attempt in flight holds goes along. Told before the
    /// [feedback](Input::Feedback) of that answer, which is then taken for the part.
    Part {
        /// Which call; one that takes nothing of the resource stays as it is.
        call: CallId,
        /// The resource.
        whole: ResourceId,
        /// Its [part](crate::Limiter::partition), or the resource itself.
        part: ResourceId,
    },
    /// The ends of the current and the next calendar window of a resource.
    Boundary {
        /// Which resource; its partitions change with it.
        resource: ResourceId,
        /// The end of the current window.
        end: Time,
        /// The end of the window after it.
        next: Time,
    },
    /// No attempt takes this member any more; what it has in flight may finish. Without any member left the run
    /// stops.
    DropMember {
        /// Which member.
        member: MemberId,
    },
    /// No new dispatch; what is in flight may finish.
    Stop,
    /// Every attempt in flight is abandoned; implies [`Input::Stop`].
    Halt,
    /// After a stop: go on with what is unfinished.
    Resume,
    /// No new dispatch until [`Input::Unpause`]; what is in flight goes on, and the run is not over. It holds across
    /// a stop, too.
    Pause,
    /// After a pause: go on.
    Unpause,
}

/// What to do next, told by [`Scheduler::poll`](crate::Scheduler::poll).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Start this attempt.
    Dispatch {
        /// Which call.
        call: CallId,
        /// The name of this attempt in inputs.
        attempt: AttemptId,
        /// The how-manieth attempt of the call it is, from 1.
        number: u32,
        /// The member of the pool that it takes; `None` without a pool.
        member: Option<MemberId>,
    },
    /// An attempt ended with [`Class::Fatal`](crate::Class::Fatal): no further one takes its member. Others do its
    /// calls, which lose nothing by it.
    MemberDropped {
        /// Which member.
        member: MemberId,
    },
    /// Stop waiting for this attempt: it took too long, or its call no longer needs it.
    Abandon {
        /// Which call.
        call: CallId,
        /// Which attempt.
        attempt: AttemptId,
        /// Why.
        why: Abandoned,
    },
    /// The call succeeded; its id is free from now on.
    Done {
        /// Which call.
        call: CallId,
    },
    /// The call failed for good; its id is free from now on.
    Failed {
        /// Which call.
        call: CallId,
        /// Why.
        why: Failure,
    },
    /// Nothing to do before this.
    Wait(Wait),
    /// Nothing is waiting and nothing in flight.
    Idle,
    /// Stopped, and nothing is in flight any more; unfinished calls are kept.
    Stopped(Stop),
}

/// What [`Scheduler::dispatch_at_once`](crate::Scheduler::dispatch_at_once) came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtOnce {
    /// The call is in flight.
    Dispatched {
        /// Which call.
        call: CallId,
        /// The name of its attempt in inputs.
        attempt: AttemptId,
    },
    /// It cannot go now: the moment before which asking again is in vain, if it is known, and the reason.
    NotUntil(Wait),
    /// It costs more of this resource than there will ever be: a budget is spent.
    Never(ResourceId),
}

/// Why an attempt was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abandoned {
    /// It outlived the attempt's time-out.
    TimedOut,
    /// Its call was cancelled, or another attempt of it has answered.
    NotNeeded,
    /// The run was halted.
    Halted,
}

/// Why a call failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// All attempts were used up.
    Attempts,
    /// The answer says that the call itself is wrong; trying again would not help.
    Permanent,
    /// The answer says that no call of this run can succeed; or that none can of the only members of a pool that
    /// are large enough for this one.
    Fatal,
    /// The call outlived its time-out, all attempts included.
    TimedOut,
    /// It costs more of this resource than there will ever be: its quota was lowered, or a budget
    /// is spent.
    NeverFits(ResourceId),
}

/// Why a run stopped before all calls were done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// It was told to.
    Asked,
    /// An answer said that no call of this run can succeed.
    Fatal,
    /// The deadline of the run has come.
    Deadline,
    /// No call succeeded for the stall limit.
    Stalled,
}

/// Until when, or for what, there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Poll again at this moment; `None`: only an input can change anything.
    pub until: Option<Time>,
    /// What keeps the next call from being dispatched.
    pub on: WaitingOn,
}

/// What keeps the next call from being dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitingOn {
    /// Quota of this resource has to come back.
    Quota(ResourceId),
    /// This resource is paused: the server named the moment, or, where `told` is false, a back-off
    /// of our own runs.
    Paused {
        /// Which resource.
        resource: ResourceId,
        /// Whether the server named the moment.
        told: bool,
    },
    /// The whole run is paused: the server refused without naming a resource of the call. Where `told`
    /// is true it named the moment, else a back-off of our own runs.
    Refused {
        /// Whether the server named the moment.
        told: bool,
    },
    /// `max_concurrent` attempts are in flight.
    Concurrency,
    /// All that is unfinished is in flight.
    InFlight,
    /// All that waits is a retry whose back-off runs.
    Backoff,
    /// Too many attempts fail: one probe at a time, until one succeeds.
    Probe,
    /// Another scheduler of the same limiter has its turn.
    Turn,
    /// The run is paused: [`Input::Unpause`].
    Unpause,
    /// This member of the pool is left alone after failures or on the server's word, and the others have no room.
    Member {
        /// Which member.
        member: MemberId,
        /// Whether the server named the moment.
        told: bool,
    },
}
