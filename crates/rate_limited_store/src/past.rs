//! What opening finds: how far the run came, what is not over, what was taken of the limits.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::Result;

use crate::digest::Digest;
use crate::look::Seen;
use crate::policy::Begun;
use crate::record::{Position, State};
use crate::rescue;
use crate::rows::{ChargeRow, IN_FLIGHT, OpenRow, ResourceRow, UNKNOWN};
use crate::store::{Store, whole_of};
use crate::wall::Wall;

/// What a journal had when it was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Past {
    /// How many calls there are.
    pub counts: Counts,
    /// The calls that have begun and are not over, by their positions.
    pub unfinished: BTreeMap<Position, Unfinished>,
    /// What was taken of each resource, in the order of the options.
    pub meters: Vec<Meter>,
    /// What was taken of parts of them, such as `tokens[gpt-4o]`, by name: these have the places behind those of the
    /// options, in this order. A part is remembered for as long as its resource.
    pub parts: Vec<(String, Meter)>,
    /// Results at the end that were committed once and are gone: their calls are run again.
    pub lost: u64,
    /// Whether anything at the end that was committed once is gone. Beside the [`lost`](Past::lost)
    /// results that may be what attempts took of the limits, or that calls were in flight.
    pub torn: bool,
    /// Results that were kept elsewhere while there was no room, and are here now.
    pub rescued: u64,
    /// Whether the count beside the journal could not tell if results are missing.
    pub uncounted: bool,
    /// What the job was when the journal was made, by name.
    pub job: BTreeMap<String, String>,
    /// The first position that no call has.
    pub(crate) end: Position,
}

/// How many calls of a journal are over, or are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls with an answer.
    pub done: u64,
    /// Calls that failed for good.
    pub failed: u64,
    /// Calls that have begun and are not over.
    pub unfinished: u64,
    /// Those of them that were in flight when the process died.
    pub unknown: u64,
}

impl Counts {
    /// Whether no call has begun.
    ///
    /// ```
    /// assert!(rate_limited_store::Counts::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.done + self.failed + self.unfinished == 0
    }

    /// A call is over.
    ///
    /// ```
    /// use rate_limited_store::{Counts, State};
    ///
    /// let mut counts = Counts::default();
    /// counts.add(State::Failed);
    /// assert_eq!((counts.done, counts.failed), (0, 1));
    /// ```
    pub fn add(&mut self, state: State) {
        *self.of(state) += 1;
    }

    /// A call that was over is run again.
    ///
    /// ```
    /// use rate_limited_store::{Counts, State};
    ///
    /// let mut counts = Counts { done: 2, failed: 1, ..Counts::default() };
    /// counts.reopen(State::Failed);
    /// assert_eq!((counts.done, counts.failed), (2, 0));
    /// ```
    pub fn reopen(&mut self, state: State) {
        let count = self.of(state);
        *count = count.saturating_sub(1);
    }

    fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Done => &mut self.done,
            State::Failed => &mut self.failed,
        }
    }
}

/// A call that has begun and is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The key of the call.
    pub key: Digest,
    /// The hash of its request.
    pub request: Digest,
    /// Attempts made.
    pub attempts: u32,
    /// In how many crashes it was in flight.
    pub crashes: u32,
    /// Whether it was in flight when the process died: it may have been answered.
    pub unknown: bool,
}

impl Unfinished {
    /// How far the call at this position came.
    pub(crate) fn begun(&self, position: Position) -> Begun {
        Begun {
            position,
            attempts: self.attempts,
            crashes: self.crashes,
        }
    }
}

/// What was taken of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Meter {
    /// What was charged within its window, the oldest first.
    pub charges: Vec<Charge>,
    /// What was spent of a budget, beside those, in millionths.
    pub spent: i64,
    /// Until when the server asked to leave it alone.
    pub paused_until: Wall,
    /// What was learnt of it, as it was recorded; empty: nothing.
    pub learnt: Vec<u8>,
}

impl Meter {
    /// What was charged, as moments of another clock and millionths, the oldest first; what a budget has
    /// spent comes at its beginning.
    pub fn charges_on(&self, now_nanos: u64) -> impl Iterator<Item = (u64, i64)> {
        let spent = (self.spent != 0).then_some((0, self.spent));
        let charges = self.charges.iter();
        let charges = charges.map(move |charge| (charge.at.nanos_on(now_nanos), charge.micros));
        spent.into_iter().chain(charges)
    }
}

/// An amount that the server has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// When.
    pub at: Wall,
    /// How much, in millionths.
    pub micros: i64,
}

/// What a journal had, brought up to date in one commit: calls in flight are unknown now, and what was
/// reserved for them counts as used for good; rescued results are in; charges that count no more are gone.
pub(crate) fn begin(
    path: &Path,
    store: &mut Store,
    seen: Seen,
    resources: &[(String, Option<Duration>)],
) -> Result<Past> {
    let mut past = Past {
        counts: seen.counts,
        end: seen.end,
        job: seen.job.0.into_iter().collect(),
        ..Past::default()
    };
    let names: Vec<_> = resources.iter().map(|(name, _)| name.as_str()).collect();
    let (mut open, mut charges) = (seen.open, seen.charges);
    store.commit(|store| {
        for row in &mut open {
            crashed(store, row, &mut charges)?;
        }
        store.name_resources(&names)?;
        let parts = store.parts_of(&names);
        store.name_resources(&parts.iter().map(String::as_str).collect::<Vec<_>>())?;
        for end in rescue::results(path, store)? {
            let call = past.add(store, &end, &mut open)?;
            past.end = past.end.max(call + 1);
        }
        let places = store.places.clone();
        for ((_, window), id) in resources.iter().zip(&places) {
            // Two of one name are one.
            let first = places.iter().position(|place| place == id);
            let meter = match first.and_then(|first| past.meters.get(first)) {
                Some(meter) => meter.clone(),
                None => meter(store, *id, *window, &charges)?,
            };
            past.meters.push(meter);
        }
        for (name, id) in parts.into_iter().zip(&places[resources.len()..]) {
            let whole = whole_of(&name);
            let window = resources.iter().find(|(name, _)| Some(&**name) == whole);
            let meter = meter(store, *id, window.and_then(|(_, window)| *window), &charges)?;
            past.parts.push((name, meter));
        }
        Ok(())
    })?;
    rescue::forget(path, store.totals.id);
    past.unfinished = open.iter().map(OpenRow::unfinished).collect();
    past.counts.unfinished = past.unfinished.len() as u64;
    past.counts.unknown = past.unfinished.values().filter(|call| call.unknown).count() as u64;
    Ok(past)
}

/// What becomes of a call that was in flight when the process died.
fn crashed(store: &mut Store, row: &mut OpenRow, charges: &mut Vec<ChargeRow>) -> Result<()> {
    if row.in_flight != IN_FLIGHT {
        return Ok(());
    }
    let now = Wall::now();
    for (resource, at, amount) in row.charges() {
        // Where the server counts at an unknown moment, it may do so still.
        let charge = ChargeRow {
            resource,
            at: at.min(now),
            amount: amount.max(0),
        };
        store.put_charge(&charge)?;
        charges.push(charge);
    }
    row.in_flight = UNKNOWN;
    row.crashes = row.crashes.saturating_add(1);
    row.reserved.clear();
    store.put_open(row)
}

impl OpenRow {
    fn unfinished(&self) -> (Position, Unfinished) {
        let call = Unfinished {
            key: self.key,
            request: self.request,
            attempts: self.attempts,
            crashes: self.crashes,
            unknown: self.in_flight == UNKNOWN,
        };
        (self.position, call)
    }
}

impl Past {
    /// Takes in a result that was kept elsewhere; the position of its call.
    fn add(
        &mut self,
        store: &mut Store,
        end: &crate::record::End,
        open: &mut Vec<OpenRow>,
    ) -> Result<Position> {
        let before = store.state_of(end.position)?;
        for (count, state) in [
            (&mut self.counts.done, State::Done),
            (&mut self.counts.failed, State::Failed),
        ] {
            *count += u64::from(end.state == state);
            *count = count.saturating_sub(u64::from(before == Some(state)));
        }
        store.end(end)?;
        open.retain(|row| row.position != end.position);
        self.rescued += 1;
        Ok(end.position)
    }
}

/// What was taken of a resource within its window; older charges are dropped, and those of a budget, which
/// has no window, are added up.
fn meter(
    store: &mut Store,
    id: i64,
    window: Option<Duration>,
    charges: &[ChargeRow],
) -> Result<Meter> {
    let Some(known) = store.resource(id).cloned() else {
        return Ok(Meter::default());
    };
    let since = since(window);
    let meter = taken(&known, since, charges);
    store.drop_charges(known.id, since.unwrap_or(Wall(i64::MAX)), charges)?;
    if meter.spent != known.spent {
        store.put_resource(ResourceRow {
            spent: meter.spent,
            ..known
        })?;
    }
    Ok(meter)
}

/// What counts no more is before this moment.
fn since(window: Option<Duration>) -> Option<Wall> {
    window.map(|window| {
        let nanos = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        Wall(Wall::now().0.saturating_sub(nanos))
    })
}

fn taken(known: &ResourceRow, since: Option<Wall>, charges: &[ChargeRow]) -> Meter {
    let mut meter = Meter {
        charges: Vec::new(),
        spent: known.spent,
        paused_until: known.paused_until,
        learnt: known.learnt.clone(),
    };
    for charge in charges.iter().filter(|row| row.resource == known.id) {
        let (at, micros) = (charge.at, charge.amount);
        match since {
            Some(since) if at < since => {}
            Some(_) => meter.charges.push(Charge { at, micros }),
            None => meter.spent = meter.spent.saturating_add(micros),
        }
    }
    meter.charges.sort_unstable_by_key(|charge| charge.at);
    meter
}

/// What opening the journal would find, with nothing written. While somebody has it, calls in flight are not
/// unknown; what is reserved for them counts as used either way.
pub(crate) fn foresee(
    mut seen: Seen,
    is_held: bool,
    resources: &[(String, Option<Duration>)],
) -> Past {
    let mut charges = seen.charges;
    let now = Wall::now();
    for row in &mut seen.open {
        if row.in_flight != IN_FLIGHT {
            continue;
        }
        for (resource, at, amount) in row.charges() {
            charges.push(ChargeRow {
                resource,
                at: at.min(now),
                amount: amount.max(0),
            });
        }
        if !is_held {
            row.in_flight = UNKNOWN;
            row.crashes = row.crashes.saturating_add(1);
        }
    }
    let known = |name: &str| seen.resources.iter().find(|row| row.name == name);
    let meter = |(name, window): &(String, Option<Duration>)| {
        known(name).map_or_else(Meter::default, |row| taken(row, since(*window), &charges))
    };
    let parts = seen.resources.iter().filter_map(|row| {
        let whole = whole_of(&row.name)?;
        let is_named = resources.iter().any(|(name, _)| *name == row.name);
        let (_, window) = resources.iter().find(|(name, _)| name == whole)?;
        let meter = || taken(row, since(*window), &charges);
        (!is_named).then(|| (row.name.clone(), meter()))
    });
    let unknown = seen.open.iter().filter(|row| row.in_flight == UNKNOWN);
    Past {
        parts: parts.collect(),
        counts: Counts {
            unfinished: seen.open.len() as u64,
            unknown: unknown.count() as u64,
            ..seen.counts
        },
        meters: resources.iter().map(meter).collect(),
        unfinished: seen.open.iter().map(OpenRow::unfinished).collect(),
        job: seen.job.0.into_iter().collect(),
        end: seen.end,
        ..Past::default()
    }
}
