//! What the user of a runner can get wrong.

use crate::result::SharedError;
use rate_limited_core::{AmountError, QuotaError};

/// A runner that cannot be set up as declared.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A resource has a quota that is no amount.
    #[error("resource `{resource}` has a bad quota: {reason}")]
    Amount {
        /// The name of the resource.
        resource: String,
        /// What is wrong with the number.
        reason: AmountError,
    },
    /// Something was declared after the first call was scheduled or run.
    #[error(
        "the runner was changed after its first call was scheduled: declare everything before that"
    )]
    TooLate,
    /// A quota was changed before there were any books.
    #[error("no call was scheduled yet: declare the quota with its resource")]
    NotBegun,
    /// The limiter has no resource of this name.
    #[error("the limiter has no resource `{resource}`: declare it with a quota")]
    NotShared {
        /// The name of the resource.
        resource: String,
    },
    /// The limiter has another quota of this name.
    #[error(
        "the limiter has another quota of `{resource}`: Resource::shared(\"{resource}\") takes the one that it has"
    )]
    Differs {
        /// The name of the resource.
        resource: String,
    },
    /// A pool of no members, or of more than 255.
    #[error("a pool of {members} members: give it 1 to 255")]
    Members {
        /// How many there are.
        members: usize,
    },
    /// Two members of a pool have one name.
    #[error("two members of the pool are named `{member}`: give each its own name")]
    SameMember {
        /// The name given twice.
        member: String,
    },
    /// Two members of one account tell another quota of one resource.
    #[error(
        "the members of account `{account}` tell two quotas of `{resource}`: they share one, so tell it once"
    )]
    OtherQuota {
        /// The account.
        account: String,
        /// The name of the resource.
        resource: String,
    },
    /// A resource cannot be metered as declared.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// The journal cannot be used.
    #[error("{0}")]
    Record(SharedError),
}

/// A call that cannot be scheduled.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The runner itself is not set up right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cost of the call is no amount.
    #[error("the call has a bad cost of `{resource}`: {reason}")]
    Cost {
        /// The name of the resource.
        resource: String,
        /// What is wrong with the number.
        reason: AmountError,
    },
    /// The function that tells the cost panicked.
    #[error("the function that tells the call's cost of `{resource}` panicked")]
    Panicked {
        /// The name of the resource.
        resource: String,
    },
    /// The call alone is above a whole quota, or no more calls can be numbered.
    #[error(transparent)]
    Core(#[from] rate_limited_core::ScheduleError),
    /// The journal cannot be read, or the call has no key for it.
    #[error("{0}")]
    Record(SharedError),
}

/// A run that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The runner is not set up right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal does not allow this run; nothing was sent.
    #[error("{0}")]
    Record(SharedError),
    /// A blocking wait inside of an async runtime would stop it.
    #[error("run_blocking() was called inside an async runtime: use run().await there")]
    InsideRuntime,
    /// There is no runtime that the run could be a task of.
    #[error("a run in the background needs a runtime of tokio: start it inside one")]
    OutsideRuntime,
    /// The task of the run has panicked or was aborted, as by a runtime that is shut down.
    #[error("the task of the run was lost: {0}")]
    Lost(SharedError),
    /// No runtime could be started.
    #[error("failed to start the async runtime: {0}")]
    Runtime(#[source] std::io::Error),
}
