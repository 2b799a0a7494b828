//! A machine's side of its journal: what is taken down, and what waits until it is.

use crate::account::lock;
use crate::clock::now;
use crate::lookup::{Call, Calls};
use crate::machine::Inner;
use crate::step::Step;
use rate_limited_core::{Amount, Entry, Limiter, ResourceId, Time};
use rate_limited_store::{
    Back, Charged, Dispatch, End, Failure, Journal, JournalError, Lookup, Meter, Opened, Policy,
    Position, Record, State, Ticket, Wall,
};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

/// How often what was learnt is taken down.
const EACH: Duration = Duration::from_secs(2);

/// An open journal, for all machines of a runner.
pub(crate) struct Shared {
    /// None once it is closed.
    journal: Mutex<Option<Arc<Journal>>>,
    calls: Mutex<Calls>,
    /// What was taken of the resources before.
    meters: Vec<Meter>,
    parts: Mutex<Parts>,
    /// Who hears of each commit.
    listeners: Arc<Mutex<Vec<Weak<Inner>>>>,
}

/// The parts of the resources, such as `tokens[gpt-4o]`, as a journal knows them.
struct Parts {
    /// The names of the resources.
    resources: Vec<String>,
    /// Where the journal has each part.
    places: HashMap<String, u32>,
    /// What was taken of parts before, until they are used for the first time.
    past: HashMap<String, Meter>,
    /// How many resources it has by now.
    count: u32,
}

impl Shared {
    pub(crate) fn new(
        opened: Opened,
        policy: Policy,
        resources: Vec<String>,
    ) -> Result<Shared, JournalError> {
        let past = &opened.past.parts;
        let names = past.iter().map(|(name, _)| name.clone());
        let first = u32::try_from(resources.len()).unwrap_or(u32::MAX);
        let parts = Parts {
            places: names.zip(first..).collect(),
            past: past.iter().cloned().collect(),
            count: first.saturating_add(u32::try_from(past.len()).unwrap_or(u32::MAX)),
            resources,
        };
        let calls = Calls::new(Lookup::new(&opened, policy)?);
        let listeners: Arc<Mutex<Vec<Weak<Inner>>>> = Arc::default();
        let told = Arc::clone(&listeners);
        opened.journal.on_news(move || {
            let listeners: Vec<_> = lock(&told).iter().filter_map(Weak::upgrade).collect();
            for listener in listeners {
                listener.nudge();
            }
        });
        Ok(Shared {
            journal: Mutex::new(Some(Arc::new(opened.journal))),
            calls: Mutex::new(calls),
            meters: opened.past.meters,
            parts: Mutex::new(parts),
            listeners,
        })
    }

    /// The journal, unless it is closed.
    pub(crate) fn journal(&self) -> Option<Arc<Journal>> {
        lock(&self.journal).clone()
    }

    /// Closes it; whoever gets the journal drops it where nothing is locked.
    pub(crate) fn close(&self) -> Option<Arc<Journal>> {
        lock(&self.journal).take()
    }

    /// What keeps it from being written, if anything does.
    pub(crate) fn error(&self) -> Option<JournalError> {
        match self.journal() {
            Some(journal) => journal.error(),
            None => Some(JournalError::Closed),
        }
    }

    pub(crate) fn listen(&self, inner: Weak<Inner>) {
        let listeners = &mut *lock(&self.listeners);
        listeners.retain(|known| known.strong_count() > 0);
        listeners.push(inner);
    }

    pub(crate) fn calls(&self) -> MutexGuard<'_, Calls> {
        lock(&self.calls)
    }

    /// What was charged to each resource before, and until when it is paused.
    pub(crate) fn charges(&self) -> Vec<(Vec<(Time, Amount)>, Time)> {
        let now = now().as_nanos();
        let charge = |(at, micros)| (Time::from_nanos(at), Amount::from_micros(micros));
        let past = |meter: &Meter| {
            let charges = meter.charges_on(now).map(charge).collect();
            (charges, Time::from_nanos(meter.paused_until.nanos_on(now)))
        };
        self.meters.iter().map(past).collect()
    }

    /// What was learnt of each resource before.
    pub(crate) fn learnt(&self) -> Vec<Vec<u8>> {
        let meters = self.meters.iter();
        meters.map(|meter| meter.learnt.clone()).collect()
    }

    pub(crate) fn let_go_in_child(&self) {
        // What another thread had locked stays locked in a child for ever.
        if let Ok(journal) = self.journal.try_lock()
            && let Some(journal) = &*journal
        {
            journal.let_go_in_child();
        }
    }

    /// Where the journal has the part of a resource, and what was taken of it before if it was not asked for yet.
    fn part(&self, resource: usize, key: &str) -> Option<(u32, Option<Meter>)> {
        let parts = &mut *lock(&self.parts);
        let name = format!("{}[{key}]", parts.resources.get(resource)?);
        if let Some(place) = parts.places.get(&name) {
            return Some((*place, parts.past.remove(&name)));
        }
        let place = parts.count;
        parts.count += 1;
        parts.places.insert(name.clone(), place);
        // Under the same lock, so that they come in the order of their places.
        self.push(Record::Resource { name })?;
        Some((place, None))
    }

    fn push(&self, record: Record) -> Option<Ticket> {
        let journal = lock(&self.journal);
        journal.as_ref()?.push(record).ok()
    }

    fn written(&self) -> Ticket {
        let journal = lock(&self.journal);
        journal
            .as_ref()
            .map_or(Ticket::MAX, |journal| journal.written())
    }
}

/// What one machine has in a journal.
pub(crate) struct Book {
    shared: Arc<Shared>,
    /// The calls that are not over, by their numbers.
    calls: HashMap<u64, Call>,
    /// What attempts brought and nobody has taken down yet, by the numbers of their calls.
    brought: HashMap<u64, Brought>,
    /// Attempts that leave when their dispatch is written.
    leaving: VecDeque<(Ticket, Step)>,
    /// Ends of calls that are told when they are written.
    ended: VecDeque<(Ticket, Step)>,
    last_ticket: Ticket,
    paused: Vec<Time>,
    parts: Vec<Part>,
    /// What was taken down as learnt of each resource, and when.
    learnt: (Time, Vec<Vec<u8>>),
}

/// A part of a resource that calls of a machine take from.
struct Part {
    id: ResourceId,
    /// Where the journal has it.
    place: u32,
    paused: Time,
    learnt: Vec<u8>,
}

enum Brought {
    Body(Option<Vec<u8>>),
    Failure(Failure),
}

impl Book {
    pub(crate) fn new(shared: Arc<Shared>) -> Book {
        Book {
            calls: HashMap::new(),
            brought: HashMap::new(),
            leaving: VecDeque::new(),
            ended: VecDeque::new(),
            last_ticket: 0,
            paused: shared
                .charges()
                .into_iter()
                .map(|(_, until)| until)
                .collect(),
            parts: Vec::new(),
            learnt: (Time::default(), shared.learnt()),
            shared: Arc::clone(&shared),
        }
    }

    /// The call at this position, which was looked up.
    pub(crate) fn asked(&self, position: Position) -> Option<Call> {
        self.shared.calls().take(position)
    }

    /// A call that was looked up is scheduled under this number. What it came to before in this process, if it was over.
    pub(crate) fn begins(&mut self, number: u64, call: Call) -> Option<State> {
        let position = call.begun.position;
        self.calls.insert(number, call);
        self.shared.calls().lookup.begins(position)
    }

    /// How many attempts were made at a call, in this run and in earlier ones.
    pub(crate) fn attempts(&self, number: u64) -> Option<u32> {
        Some(self.calls.get(&number)?.attempts)
    }

    /// What keeps the journal from being written, if anything does.
    pub(crate) fn error(&self) -> Option<JournalError> {
        self.shared.error()
    }

    /// The journal and the last of this machine's records.
    pub(crate) fn last(&self) -> Option<(Arc<Journal>, Ticket)> {
        Some((self.shared.journal()?, self.last_ticket))
    }

    fn written(&self) -> Ticket {
        self.shared.written()
    }

    /// What an attempt brought: the result of its call, if it can be kept.
    pub(crate) fn answered(&mut self, number: u64, body: Option<Vec<u8>>) {
        self.brought.insert(number, Brought::Body(body));
    }

    /// What went wrong with an attempt.
    pub(crate) fn failed(&mut self, number: u64, kind: String, text: String) {
        let at = Wall::now();
        let failure = Failure { at, kind, text };
        self.brought.insert(number, Brought::Failure(failure));
    }

    /// Takes down that an attempt is about to leave; it does when that is written. `false`: nothing may
    /// leave any more.
    pub(crate) fn dispatch(
        &mut self,
        step: Step,
        reserved: impl Iterator<Item = Entry>,
        resources: &[ResourceId],
    ) -> bool {
        let Step::Dispatch { call, .. } = step else {
            return false;
        };
        let Some(call) = self.calls.get_mut(&call) else {
            return false;
        };
        call.attempts += 1;
        call.has_left = true;
        let call = &*call;
        let position = call.begun.position;
        let begun = call.unfinished(false);
        self.shared.calls().lookup.has_begun(position, begun);
        let now = now();
        let reserved = reserved.filter_map(|entry| {
            let at = wall(entry.at, now);
            self.charged(entry.resource, at, entry.amount, resources)
        });
        let dispatch = Dispatch {
            position,
            key: begun.key,
            request: begun.request,
            attempt: begun.attempts,
            crashes: begun.crashes,
            reserved: reserved.collect(),
        };
        let ticket = self.shared.push(Record::Dispatch(dispatch));
        if let Some(ticket) = ticket {
            self.last_ticket = ticket;
            self.leaving.push_back((ticket, step));
        }
        ticket.is_some()
    }

    /// The next attempt that may leave.
    pub(crate) fn leaves(&mut self) -> Option<Step> {
        let (ticket, _) = self.leaving.front()?;
        if *ticket > self.written() {
            return None;
        }
        self.leaving.pop_front().map(|(_, step)| step)
    }

    /// The next end that may be told.
    pub(crate) fn ends(&mut self) -> Option<Step> {
        let (ticket, _) = self.ended.front()?;
        if *ticket > self.written() {
            return None;
        }
        self.ended.pop_front().map(|(_, step)| step)
    }

    /// Takes down an attempt that was abandoned; it may have been answered if it had left.
    pub(crate) fn abandoned(&mut self, attempt: u64, call: u64, why: &str) {
        let before = self.leaving.len();
        let is_it = |step: &Step| matches!(step, Step::Dispatch { attempt: leaving, .. } if *leaving == attempt);
        self.leaving.retain(|(_, step)| !is_it(step));
        let had_left = self.leaving.len() == before;
        let failure = Failure {
            at: Wall::now(),
            kind: "TimeoutError".to_owned(),
            text: format!("the attempt was given up: {why}"),
        };
        self.back(call, Some(failure), had_left && why == "halted");
    }

    /// Takes down what attempts took of the resources.
    pub(crate) fn charge(&mut self, entries: Vec<Entry>, resources: &[ResourceId]) {
        let now = now();
        for entry in entries {
            let at = wall(entry.at, now);
            if let Some(charge) = self.charged(entry.resource, at, entry.amount, resources) {
                self.push(Record::Charge(charge));
            }
        }
    }

    /// Takes down which resources are paused.
    pub(crate) fn pause(&mut self, until: impl Iterator<Item = Time>) {
        let now = now();
        let mut news = Vec::new();
        for (resource, (known, until)) in self.paused.iter_mut().zip(until).enumerate() {
            if until > *known {
                *known = until;
                news.push((resource as u32, wall(until, now)));
            }
        }
        for (resource, until) in news {
            self.push(Record::Pause { resource, until });
        }
    }

    /// Takes down which parts of resources are paused.
    pub(crate) fn pause_parts(&mut self, mut until: impl FnMut(&ResourceId) -> Time) {
        let now = now();
        let mut news = Vec::new();
        for part in &mut self.parts {
            let until = until(&part.id);
            if until > part.paused {
                part.paused = until;
                news.push((part.place, wall(until, now)));
            }
        }
        for (resource, until) in news {
            self.push(Record::Pause { resource, until });
        }
    }

    /// A call takes from a part of the resource at a place; what was taken of it before is told to the limiter once.
    pub(crate) fn adds(&mut self, id: ResourceId, (of, key): (usize, &str), limiter: &mut Limiter) {
        if self.parts.iter().any(|part| part.id == id) {
            return;
        }
        // What has no room for a name of its own is taken down with the others.
        let name = limiter.view(id, now()).key;
        let Some((place, past)) = self.shared.part(of, name.as_deref().unwrap_or(key)) else {
            return;
        };
        let (mut paused, mut learnt) = (Time::default(), Vec::new());
        if let Some(past) = past {
            let now = now();
            let charge = |(at, micros)| (Time::from_nanos(at), Amount::from_micros(micros));
            let charges: Vec<_> = past.charges_on(now.as_nanos()).map(charge).collect();
            paused = Time::from_nanos(past.paused_until.nanos_on(now.as_nanos()));
            // Of a form that is not known here nothing is recalled.
            let _ = limiter.recall(id, &past.learnt);
            limiter.replay(id, &charges, paused, now);
            learnt = past.learnt;
        }
        self.parts.push(Part {
            id,
            place,
            paused,
            learnt,
        });
    }

    /// Takes down what was learnt of the resources, if there is news; while a run goes on, now and then.
    pub(crate) fn learn(&mut self, limiter: &Limiter, resources: &[ResourceId], is_end: bool) {
        let now = now();
        let (last, known) = &mut self.learnt;
        if !is_end && now < *last + EACH {
            return;
        }
        *last = now;
        let mut news = Vec::new();
        for (place, (known, id)) in known.iter_mut().zip(resources).enumerate() {
            let learnt = limiter.learnt(*id);
            if learnt != *known {
                known.clone_from(&learnt);
                news.push((place as u32, learnt));
            }
        }
        for part in &mut self.parts {
            let learnt = limiter.learnt(part.id);
            if learnt != part.learnt {
                part.learnt.clone_from(&learnt);
                news.push((part.place, learnt));
            }
        }
        for (resource, learnt) in news {
            self.push(Record::Learnt { resource, learnt });
        }
    }

    /// An attempt has come back without success.
    pub(crate) fn came_back(&mut self, call: u64) {
        if let Some(Brought::Failure(failure)) = self.brought.remove(&call) {
            self.back(call, Some(failure), false);
        }
    }

    /// Nobody wants a call any more: nothing of it is taken down, if nothing was yet. Whether that is so.
    pub(crate) fn withdraws(&mut self, call: u64) -> bool {
        let has_left = self.calls.get(&call).is_none_or(|call| call.has_left);
        if !has_left {
            self.calls.remove(&call);
        }
        !has_left
    }

    /// Takes down that an attempt has not left after all, and that nobody wants its call any more.
    pub(crate) fn unwanted(&mut self, call: u64) {
        self.stays(call);
        self.calls.remove(&call);
    }

    /// Takes down that an attempt has not left after all, so that the next run makes it: otherwise it is taken for one
    /// that was in flight when this one died.
    pub(crate) fn stays(&mut self, call: u64) {
        if let Some(known) = self.calls.get_mut(&call) {
            known.attempts = known.attempts.saturating_sub(1);
            self.back(call, None, false);
        }
    }

    fn back(&mut self, call: u64, failure: Option<Failure>, unknown: bool) {
        let Some(call) = self.calls.get(&call) else {
            return;
        };
        let position = call.begun.position;
        let back = Back {
            position,
            key: call.key,
            request: call.request,
            attempts: call.attempts,
            crashes: call.begun.crashes,
            unknown,
            failure,
        };
        let begun = call.unfinished(unknown);
        self.shared.calls().lookup.has_begun(position, begun);
        self.push(Record::Back(back));
    }

    /// A call has failed in a way that is not taken down.
    pub(crate) fn gives_up(&mut self, call: u64) {
        if let Some(call) = self.calls.remove(&call) {
            let (position, key) = (call.begun.position, call.key);
            self.shared.calls().lookup.gives_up(position, key);
        }
    }

    /// Takes down that a call is over; `step` is told when that is written.
    pub(crate) fn end(&mut self, call: u64, failed: bool, step: Option<Step>) {
        let body = match self.brought.remove(&call) {
            Some(Brought::Body(body)) if !failed => body,
            _ => None,
        };
        let state = if failed { State::Failed } else { State::Done };
        let Some(call) = self.calls.remove(&call) else {
            return;
        };
        let position = call.begun.position;
        self.shared.calls().lookup.ends(position);
        self.push(Record::End(End {
            position,
            key: call.key,
            request: call.request,
            state,
            attempts: call.attempts,
            failure: None,
            body,
        }));
        if let Some(step) = step {
            self.ended.push_back((self.last_ticket, step));
        }
    }

    /// An amount as the journal counts it: by the place of its resource among those of the run, or of its part.
    fn charged(
        &self,
        id: ResourceId,
        at: Wall,
        amount: Amount,
        resources: &[ResourceId],
    ) -> Option<Charged> {
        let whole = resources.iter().position(|known| *known == id);
        let part = || self.parts.iter().find(|part| part.id == id);
        let place = whole.map(|place| place as u32);
        Some(Charged {
            resource: place.or_else(|| part().map(|part| part.place))?,
            at,
            micros: amount.as_micros(),
        })
    }

    /// Whether all that was taken down is safe, or will never be.
    pub(crate) fn is_settled(&self) -> bool {
        self.leaving.is_empty() && self.ended.is_empty() && self.written() >= self.last_ticket
    }

    fn push(&mut self, record: Record) {
        if let Some(ticket) = self.shared.push(record) {
            self.last_ticket = ticket;
        }
    }
}

/// A moment of the machine on the wall.
fn wall(moment: Time, now: Time) -> Wall {
    Wall::of(moment.as_nanos(), now.as_nanos())
}
