//! What calls are known by to an API that recognises those that are sent again.

use std::collections::hash_map::RandomState;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher};

use rate_limited_store::Digest;

use crate::running::job::Job;

/// Gives each call a name: the same for all its attempts and, with a journal, in all runs that it takes; another
/// one for another request, and in another journal.
#[derive(Debug)]
pub(crate) enum Names {
    /// Of calls in this journal.
    Journal(Digest),
    /// Of calls of this run.
    Run([u8; 8]),
}

impl Names {
    /// Names that last as long as the journal, or the run where there is none.
    pub(crate) fn of(journal: Option<Digest>) -> Names {
        let random = || RandomState::new().build_hasher().finish().to_le_bytes();
        journal.map_or_else(|| Names::Run(random()), Names::Journal)
    }

    /// The name of a call: 32 hexadecimal digits.
    pub(crate) fn name(&self, job: &Job) -> String {
        let digest = match (self, job.entry) {
            (Names::Journal(journal), Some(entry)) => {
                let position = entry.begun.position.to_le_bytes();
                Digest::of(&[b"call", &journal.0, &position, &entry.keyed.request.0])
            }
            (Names::Journal(journal), None) => {
                Digest::of(&[b"line", &journal.0, &job.index.to_le_bytes()])
            }
            (Names::Run(run), _) => Digest::of(&[b"run", run, &job.index.to_le_bytes()]),
        };
        digest.0.iter().fold(String::new(), |mut text, byte| {
            // Writing into a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
