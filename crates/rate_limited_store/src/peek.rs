//! A glance at a journal that changes nothing, whoever has it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::digest::Digest;
use crate::error::OpenError;
use crate::look::{self, Damages};
use crate::opening::{damaged, foreign, missing, newer, refused, system};
use crate::past::Counts;
use crate::place::{self, Kind};
use crate::rows::WAITING;
use crate::side::{self, Tally};
use crate::store;
use crate::verify;

/// What a journal has.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Peeked {
    /// How many calls there are; while somebody has it, the unknown ones are those in flight.
    pub counts: Counts,
    /// The keys of the unknown ones.
    pub unknown: Vec<Digest>,
    /// Results at the end that were committed once and are gone.
    pub lost: u64,
    /// What the job was said to be, by name.
    pub job: BTreeMap<String, String>,
    /// Who has it, if somebody does.
    pub holder: Option<String>,
}

/// Looks at the counts of a journal, and at who has it. Its results are not read.
///
/// # Errors
/// It is no journal, of a later version, or damaged; or it cannot be read.
pub fn peek(path: &Path) -> Result<Peeked, OpenError> {
    // The count first: results may be added meanwhile, and none may seem to be lost.
    let count = side::count(path).map_err(system(path))?;
    let is_held = place::is_held(path).map_err(system(path))?;
    let holder = is_held.then(|| side::holder(path));
    match place::kind_at(path).map_err(system(path))? {
        Kind::Journal => {}
        Kind::Newer(found) => return Err(newer(path, found)),
        Kind::Foreign(what) => return Err(foreign(path, what)),
        Kind::Broken(what) => return Err(verify::broken(path, what)),
        // A run died as it began, or is about to.
        Kind::Empty => {
            return Ok(Peeked {
                holder,
                ..Peeked::default()
            });
        }
    }
    let mut damages = Damages::default();
    let looked = store::connect(path, false).and_then(|db| {
        // One state of the journal, whatever is added meanwhile.
        db.execute_batch("BEGIN")?;
        look::look(&db, &mut damages)
    });
    if !damages.is_empty() {
        return Err(damaged(path, damages));
    }
    let seen = looked.map_err(|error| refused(path, &error))?;
    let (lost, ..) = missing(count, Tally::from(&seen.totals));
    let unknown = seen.open.iter().filter(|row| row.in_flight != WAITING);
    let unknown: Vec<_> = unknown.map(|row| row.key).collect();
    Ok(Peeked {
        counts: Counts {
            unfinished: seen.open.len() as u64,
            unknown: unknown.len() as u64,
            ..seen.counts
        },
        unknown,
        lost,
        job: seen.job.0.into_iter().collect(),
        holder,
    })
}
