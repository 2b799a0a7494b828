//! A run that survives the death of its process.
//!
//! ```
//! use rate_limited::Runner;
//! use rate_limited::journal::Recording;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("run.journal");
//! let runner = |sent: std::sync::Arc<std::sync::atomic::AtomicU32>| {
//!     Runner::new(move |n: u32| {
//!         sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//!         async move { Ok::<_, std::io::Error>(n * n) }
//!     })
//!     .journal(Recording::json(&path))
//! };
//! # let sent = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
//! for _ in 0..2 {
//!     let mut runner = runner(sent.clone());
//!     for n in 0..10 {
//!         runner.schedule(n)?;
//!     }
//!     let results = runner.run_blocking()?;
//!     assert_eq!(results[3].value, Some(9));
//! }
//! // The second time all answers came from the journal.
//! assert_eq!(sent.load(std::sync::atomic::Ordering::Relaxed), 10);
//! # Ok(())
//! # }
//! ```

mod amounts;
mod restored;

use crate::recorder::{Before, Known, Place, Recorder, Setback, Ticket};
use crate::result::{CallResult, SharedError};
use crate::runner::Finished;
pub(crate) use amounts::past_of;
use amounts::{charged, meters_of, wall};
use rate_limited_core::{Entry, Quota, ResourceId, Time};
use rate_limited_store::{
    Back, Digest, Dispatch, End, Failure, Lookup, Meter, Opened, Options, Past, Record, State, Wall,
};
use restored::{earlier, left, place, poisoned, restored, unfinished};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use rate_limited_store::{
    Begun, Decision, Durability, Journal, JournalError, Objection, OnChange, OnUnknown, OpenError,
    Policy, Walk,
};

/// How long after its dispatch a request may arrive: it leaves when that is written, over a connection that
/// may have to be made. Should the process die meanwhile, the server counts it then, at the latest.
const ARRIVES_WITHIN: Duration = Duration::from_secs(1);

type Look<Req, Resp> = Box<dyn FnMut(&Req) -> Result<Seen<Resp>, SharedError> + Send>;
type Encode<Req, Resp> =
    Box<dyn FnMut(&Finished<Req, Resp>) -> Result<Option<Vec<u8>>, String> + Send>;
type Hash<Req> = Box<dyn Fn(&Req) -> Result<Keyed, String> + Send>;
type Decode<Resp> = Box<dyn Fn(&[u8]) -> Result<Resp, String> + Send>;

/// How a runner keeps a journal; see [`Runner::journal`](crate::Runner::journal).
pub struct Recording<Req, Resp> {
    source: Source<Req, Resp>,
    encode: Encode<Req, Resp>,
}

enum Source<Req, Resp> {
    /// A file that is opened when the run begins.
    File(Box<File<Req, Resp>>),
    /// A journal that the caller opened, what was taken of its resources, and what is known of requests.
    Open(Arc<Journal>, Meters, Look<Req, Resp>),
}

/// What was taken of the resources, and of parts of them by name.
type Meters = (Vec<Meter>, Vec<(String, Meter)>);

struct File<Req, Resp> {
    path: PathBuf,
    durability: Durability,
    policy: Policy,
    hash: Hash<Req>,
    decode: Decode<Resp>,
}

/// What a request is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The key of its call.
    pub key: Digest,
    /// The hash of the request.
    pub request: Digest,
}

/// What a caller that opened a journal knows of a request.
#[derive(Debug)]
pub enum Seen<Resp> {
    /// It is to be run.
    Run(Keyed, Begun),
    /// It is to be run when nothing else is left: it may be what kills the process.
    Last(Keyed, Begun),
    /// It is over.
    Over(CallResult<Resp>),
}

impl<Req, Resp> std::fmt::Debug for Recording<Req, Resp> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recording")
    }
}

impl<Req: Serialize + 'static, Resp: Serialize + DeserializeOwned + 'static> Recording<Req, Resp> {
    /// A journal at `path` with results as JSON. A call is known by its request, of which only a hash is
    /// kept; equal requests are told apart by their order.
    pub fn json(path: impl AsRef<Path>) -> Recording<Req, Resp> {
        let hash = |request: &Req| {
            let bytes = serde_json::to_vec(request).map_err(|error| error.to_string())?;
            let digest = Digest::of(&[&bytes]);
            Ok(Keyed {
                key: digest,
                request: digest,
            })
        };
        let decode =
            |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|error| error.to_string());
        let encode = |finished: &Finished<Req, Resp>| {
            let value = finished.result.value.as_ref();
            let body = value.map(serde_json::to_vec).transpose();
            body.map_err(|error| error.to_string())
        };
        Recording {
            source: Source::File(Box::new(File {
                path: path.as_ref().to_owned(),
                durability: Durability::default(),
                policy: Policy::default(),
                hash: Box::new(hash),
                decode: Box::new(decode),
            })),
            encode: Box::new(encode),
        }
    }

    /// What a call is known by, such as the id of a row: its request may change then, and the run says
    /// that it did. Default: the request.
    #[must_use]
    pub fn key(self, key: impl Fn(&Req) -> String + Send + 'static) -> Self {
        let hash = move |request: &Req| {
            let bytes = serde_json::to_vec(request).map_err(|error| error.to_string())?;
            Ok(Keyed {
                key: Digest::of(&[b"id", key(request).as_bytes()]),
                request: Digest::of(&[&bytes]),
            })
        };
        self.with(|file| file.hash = Box::new(hash))
    }
}

impl<Req, Resp> Recording<Req, Resp> {
    /// A journal that is open already, with `past` as opening found it. `look` says what is known of each
    /// request; `encode` what is kept of a call that is over.
    ///
    /// The resources of the runner must be those of the journal's [`Options`], in their order.
    pub fn of(
        journal: Arc<Journal>,
        past: &Past,
        look: impl FnMut(&Req) -> Result<Seen<Resp>, SharedError> + Send + 'static,
        encode: impl FnMut(&Finished<Req, Resp>) -> Result<Option<Vec<u8>>, String> + Send + 'static,
    ) -> Recording<Req, Resp> {
        Recording {
            source: Source::Open(journal, meters_of(past), Box::new(look)),
            encode: Box::new(encode),
        }
    }

    /// What a record survives. Default: the death of the process.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        self.with(|file| file.durability = durability)
    }

    /// What becomes of changed, unknown and failed calls. Default: changed ones are refused, unknown
    /// ones sent again, failed ones left.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|file| file.policy = policy)
    }

    fn with(mut self, change: impl FnOnce(&mut File<Req, Resp>)) -> Self {
        if let Source::File(file) = &mut self.source {
            change(file);
        }
        self
    }

    pub(crate) fn recorder(self) -> Book<Req, Resp> {
        Book {
            source: Some(self.source),
            encode: self.encode,
            open: None,
            checked: false,
            trouble: None,
        }
    }
}

/// The recorder that writes a journal.
pub(crate) struct Book<Req, Resp> {
    source: Option<Source<Req, Resp>>,
    encode: Encode<Req, Resp>,
    open: Option<Open<Req, Resp>>,
    /// Whether what was looked up before the run may be run; what comes later is asked one by one.
    checked: bool,
    /// What ended the recording, beside an error of the journal itself.
    trouble: Option<SharedError>,
}

struct Open<Req, Resp> {
    journal: Arc<Journal>,
    reading: Reading<Req, Resp>,
    /// Where the journal has each resource, by the index of its id.
    places: Vec<Option<u32>>,
    /// The names of the parts that the journal had when it was opened, and the place of the first of them.
    parts: Vec<String>,
    first: u32,
    /// How many resources it has by now.
    count: u32,
}

/// How requests are looked up.
enum Reading<Req, Resp> {
    Lookup {
        lookup: Box<Lookup>,
        /// Whether the journal had no calls when it was opened.
        #[cfg(feature = "report")]
        was_empty: bool,
        hash: Hash<Req>,
        decode: Decode<Resp>,
    },
    Caller(Look<Req, Resp>),
}

impl<Req: Send, Resp: Send> Recorder<Req, Resp> for Book<Req, Resp> {
    fn begin(
        &mut self,
        resources: &[(String, Quota)],
        max_concurrent: u32,
        now: Time,
    ) -> Result<Before, SharedError> {
        let Some(source) = self.source.take() else {
            return Ok(Before::default());
        };
        let (journal, meters, reading) = match source {
            Source::Open(journal, meters, look) => (journal, meters, Reading::Caller(look)),
            Source::File(file) => {
                let options = Options {
                    durability: file.durability,
                    max_concurrent,
                    resources: windows(resources),
                    job: Vec::new(),
                };
                let opened = Journal::open(&file.path, &options).map_err(shared)?;
                let lookup = Lookup::new(&opened, file.policy).map_err(shared)?;
                let Opened { journal, past } = opened;
                let meters = meters_of(&past);
                let reading = Reading::Lookup {
                    lookup: Box::new(lookup),
                    #[cfg(feature = "report")]
                    was_empty: past.counts.is_empty(),
                    hash: file.hash,
                    decode: file.decode,
                };
                (Arc::new(journal), meters, reading)
            }
        };
        let (meters, parts) = meters;
        let count = u32::try_from(resources.len() + parts.len()).unwrap_or(u32::MAX);
        self.open = Some(Open {
            journal,
            reading,
            places: (0..).map(Some).take(resources.len()).collect(),
            parts: parts.iter().map(|(name, _)| name.clone()).collect(),
            first: u32::try_from(resources.len()).unwrap_or(u32::MAX),
            count,
        });
        let part = |(name, meter): &(String, Meter)| (name.clone(), past_of(meter, now));
        Ok(Before {
            meters: meters.iter().map(|meter| past_of(meter, now)).collect(),
            parts: parts.iter().map(part).collect(),
        })
    }

    fn adds(&mut self, resource: ResourceId, name: &str) {
        let Some(open) = &mut self.open else { return };
        let index = resource.index();
        let known = open.parts.iter().position(|known| known == name);
        let place = if let Some(known) = known {
            open.first + u32::try_from(known).unwrap_or(u32::MAX)
        } else {
            let name = name.to_owned();
            // Where it cannot be taken, nothing leaves any more.
            let _ = open.journal.push(Record::Resource { name });
            open.count += 1;
            open.count - 1
        };
        if open.places.len() <= index {
            open.places.resize(index + 1, None);
        }
        open.places[index] = Some(place);
    }

    fn on_news(&mut self, tell: Box<dyn Fn() + Send>) {
        if let Some(open) = &self.open {
            open.journal.on_news(tell);
        }
    }

    fn begin_list(&mut self) -> Result<(), SharedError> {
        self.checked = false;
        let lookup = self.open.as_mut().and_then(Open::lookup);
        // Nothing is under way.
        let begun = lookup.map(|lookup| lookup.begin_list(&HashSet::new()));
        begun.unwrap_or(Ok(())).map_err(shared)
    }

    fn look(&mut self, request: &Req) -> Result<Known<Resp>, SharedError> {
        let Some(open) = &mut self.open else {
            return Err(shared(JournalError::Closed));
        };
        let known = open.look(request)?;
        if self.checked {
            self.objection()?;
        }
        Ok(known)
    }

    fn check(&mut self) -> Result<(), SharedError> {
        self.objection()?;
        self.checked = true;
        Ok(())
    }

    fn dispatch(
        &mut self,
        place: &Place,
        attempt: u32,
        reserved: &mut dyn Iterator<Item = Entry>,
        now: Time,
    ) -> Option<Ticket> {
        if self.trouble.is_some() {
            return None;
        }
        let at = |entry: &Entry| wall(entry.at + ARRIVES_WITHIN, now);
        let open = self.open.as_ref()?;
        let reserved = reserved.filter_map(|entry| {
            Some(charged(
                open.place(entry.resource)?,
                at(&entry),
                entry.amount,
            ))
        });
        let dispatch = Dispatch {
            position: place.position,
            key: Digest(place.key),
            request: Digest(place.request),
            attempt,
            crashes: place.crashes,
            reserved: reserved.collect(),
        };
        self.has_begun(place, attempt, false);
        self.push(Record::Dispatch(dispatch))
    }

    fn charge(&mut self, entry: &Entry, now: Time) {
        let at = wall(entry.at, now);
        if let Some(place) = self.place(entry.resource) {
            self.push(Record::Charge(charged(place, at, entry.amount)));
        }
    }

    fn pause(&mut self, resource: ResourceId, until: Time, now: Time) {
        let until = wall(until, now);
        if let Some(resource) = self.place(resource) {
            self.push(Record::Pause { resource, until });
        }
    }

    fn learnt(&mut self, resource: ResourceId, learnt: Vec<u8>) {
        if let Some(resource) = self.place(resource) {
            self.push(Record::Learnt { resource, learnt });
        }
    }

    fn back(&mut self, place: &Place, attempts: u32, setback: Option<Setback>) {
        let unknown = setback.as_ref().is_some_and(|setback| setback.unknown);
        self.has_begun(place, attempts, unknown);
        let failure = setback.map(|setback| Failure {
            at: Wall::now(),
            kind: setback.kind.to_owned(),
            text: setback.text,
        });
        self.push(Record::Back(Back {
            position: place.position,
            key: Digest(place.key),
            request: Digest(place.request),
            attempts,
            crashes: place.crashes,
            unknown,
            failure,
        }));
    }

    fn end(&mut self, place: &Place, finished: &Finished<Req, Resp>) -> Ticket {
        let body = (self.encode)(finished).unwrap_or_else(|why| {
            // The answer is told and not sent for again, but it will not be there next time.
            let why = format!("a result cannot be put into the journal: {why}");
            self.trouble.get_or_insert_with(|| why_shared(why));
            None
        });
        let state = match finished.why {
            None => State::Done,
            Some(_) => State::Failed,
        };
        let end = End {
            position: place.position,
            key: Digest(place.key),
            request: Digest(place.request),
            state,
            attempts: finished.result.attempts,
            failure: None,
            body,
        };
        if let Some(lookup) = self.open.as_mut().and_then(Open::lookup) {
            lookup.ends(place.position);
        }
        self.push(Record::End(end)).unwrap_or_default()
    }

    fn gives_up(&mut self, place: &Place) {
        if let Some(lookup) = self.open.as_mut().and_then(Open::lookup) {
            lookup.gives_up(place.position, Digest(place.key));
        }
    }

    #[cfg(feature = "report")]
    fn kept(&self) -> Option<crate::witness::Kept> {
        let open = self.open.as_ref()?;
        let Reading::Lookup { was_empty, .. } = &open.reading else {
            // Whoever opened the journal knows what lies beside it.
            return None;
        };
        Some(crate::witness::Kept::beside(
            open.journal.path(),
            *was_empty,
        ))
    }

    #[cfg(feature = "report")]
    fn over(&self) -> Option<rate_limited_report::Ended> {
        match &self.open.as_ref()?.reading {
            Reading::Lookup { lookup, .. } => Some(rate_limited_report::Ended {
                succeeded: lookup.over().done,
                failed: lookup.over().failed,
            }),
            Reading::Caller(_) => None,
        }
    }

    fn written(&self) -> Ticket {
        self.open
            .as_ref()
            .map_or(Ticket::MAX, |open| open.journal.written())
    }

    fn error(&self) -> Option<SharedError> {
        let of_journal = || self.open.as_ref()?.journal.error().map(shared);
        self.trouble.clone().or_else(of_journal)
    }
}

impl<Req, Resp> Book<Req, Resp> {
    /// Whether the requests so far must not be run as they are.
    fn objection(&self) -> Result<(), SharedError> {
        let Some(Open { reading, .. }) = &self.open else {
            return Ok(());
        };
        let Reading::Lookup { lookup, .. } = reading else {
            return Ok(());
        };
        let objection = lookup.objection(self.checked);
        objection.map_or(Ok(()), |objection| Err(shared(objection)))
    }

    /// Where the journal has a resource.
    fn place(&self, resource: ResourceId) -> Option<u32> {
        self.open.as_ref()?.place(resource)
    }

    /// The journal has a call as one that has begun.
    fn has_begun(&mut self, place: &Place, attempts: u32, unknown: bool) {
        if let Some(lookup) = self.open.as_mut().and_then(Open::lookup) {
            lookup.has_begun(place.position, unfinished(place, attempts, unknown));
        }
    }

    /// The ticket of a record; `None` where it cannot be taken.
    fn push(&mut self, record: Record) -> Option<Ticket> {
        self.open.as_ref()?.journal.push(record).ok()
    }
}

impl<Req, Resp> Open<Req, Resp> {
    /// Where the journal has a resource; `None`: it was not told of it.
    fn place(&self, resource: ResourceId) -> Option<u32> {
        self.places.get(resource.index()).copied().flatten()
    }

    fn lookup(&mut self) -> Option<&mut Lookup> {
        match &mut self.reading {
            Reading::Lookup { lookup, .. } => Some(lookup),
            Reading::Caller(_) => None,
        }
    }

    fn look(&mut self, request: &Req) -> Result<Known<Resp>, SharedError> {
        match &mut self.reading {
            Reading::Caller(look) => Ok(match look(request)? {
                Seen::Run(keyed, begun) => Known::Run(place(keyed, begun)),
                Seen::Last(keyed, begun) => Known::Last(place(keyed, begun)),
                Seen::Over(result) => Known::Over(result),
            }),
            Reading::Lookup {
                lookup,
                hash,
                decode,
                ..
            } => {
                let keyed = hash(request).map_err(|why| {
                    why_shared(format!("a request cannot be put into the journal: {why}"))
                })?;
                let decision = lookup.look(keyed.key, keyed.request).map_err(shared)?;
                let journal = &self.journal;
                let mut again = |place: Place| Place {
                    had_failed: lookup.begins(place.position).map(|it| it == State::Failed),
                    ..place
                };
                Ok(match decision {
                    Decision::Run(begun) => Known::Run(again(place(keyed, begun))),
                    Decision::Last(begun) => Known::Last(again(place(keyed, begun))),
                    Decision::Over(over) => {
                        let ended = journal.read(over.number).map_err(shared)?;
                        let errors = earlier(journal, over.position)?;
                        Known::Over(restored(ended, errors, decode))
                    }
                    Decision::Unknown(begun) => Known::Over(left(begun, "unknown")),
                    Decision::Poison(begun) => Known::Over(poisoned(begun)),
                })
            }
        }
    }
}

/// The resources with the time after which a charge counts no more.
pub fn windows(resources: &[(String, Quota)]) -> Vec<(String, Option<Duration>)> {
    let window = |(name, quota): &(String, Quota)| (name.clone(), quota.reach());
    resources.iter().map(window).collect()
}

fn shared(error: impl std::error::Error + Send + Sync + 'static) -> SharedError {
    Arc::new(error)
}

fn why_shared(why: String) -> SharedError {
    shared(std::io::Error::other(why))
}
