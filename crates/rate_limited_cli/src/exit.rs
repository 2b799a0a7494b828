//! How the command ends, as a number that scripts can read.

use crate::refusal::Refusal;
use crate::telling::say::{complain, print};

/// What the long help says of exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
    0  every call succeeded, or standard input was empty
    1  the run came to its end, some calls failed (see \"error\" in their lines)
    2  bad usage or bad input: nothing was sent
    3  stopped early: a fatal answer (such as a bad key), the deadline, a wait
       longer than --max-wait, costs that would pass --max-cost, 30 minutes with
       nothing but failures and refusals, an input that broke
    4  the journal is in use, damaged or not usable (nothing was sent); or the
       journal or the output could not be written, for example on a full disk
   70  a fault of this program
  129  interrupted by SIGHUP,
  130  by SIGINT (Ctrl-C),
  143  by SIGTERM; all results so far are kept
  141  whoever read the output has gone (a closed pipe)
After 3, after an interruption, and after 4 once its cause is mended, the same
command again goes on where the run stopped.";

/// What the long help of the commands on journals says of them.
pub(crate) const JOURNAL_HELP: &str = "\
Exit codes:
    0  all is well
    2  there is no such journal
    4  the journal is damaged, cannot be read, or is in use where it must not be";

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All calls succeeded, or nothing was to be done.
    Success,
    /// The run came to its end, and some calls failed.
    SomeFailed,
    /// Bad usage or input: nothing was sent.
    Refused,
    /// Stopped before the end.
    Stopped,
    /// The journal is not usable; or the journal or the output could not be written.
    Disk,
    /// Whoever read the output has gone.
    ReaderGone,
    /// A fault of this program.
    Internal,
    /// Interrupted by a signal of this number.
    Signal(u8),
}

impl Exit {
    /// Prints a text to standard output, or says why there is none.
    pub(crate) fn printing(text: Result<String, Refusal>) -> Exit {
        match text {
            Ok(text) => {
                print(text);
                Exit::Success
            }
            Err(refusal) => {
                complain(&refusal);
                refusal.exit()
            }
        }
    }

    /// The number for the system.
    pub(crate) fn code(self) -> i32 {
        match self {
            Exit::Success => 0,
            Exit::SomeFailed => 1,
            Exit::Refused => 2,
            Exit::Stopped => 3,
            Exit::Disk => 4,
            Exit::Internal => 70,
            // As shells report a program that a signal has ended; 13 is SIGPIPE.
            Exit::ReaderGone => 128 + 13,
            Exit::Signal(number) => 128 + i32::from(number),
        }
    }
}
