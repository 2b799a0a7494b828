//! The durable record of a run: what was sent, what came back, what it took of the limits.
//!
//! A [`Journal`] is one `SQLite` file. A thread of its own writes it, many records in one commit. What
//! was recorded survives the death of the process at any moment: `kill -9`, a crash, the end of memory.
//! With [`Durability::Power`] it survives a loss of power, too.
//!
//! ```text
//!  runner ──push(Record)──► queue ──► writer thread ──commit──► run.journal
//!     ▲                                    │
//!     └───────────── written(ticket) ◄─────┘         a dispatch goes out, a result is told, after this
//! ```
//!
//! ```
//! use rate_limited_store::{Digest, End, Found, Journal, Options, Record, Walk};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("run.journal");
//! let key = Digest::of(&[b"call-1"]);
//! let opened = Journal::open(&path, &Options::default())?;
//! let mut walk = Walk::new(&opened.journal)?;
//! let Found::New { position } = walk.look(key, key)? else { panic!("an empty journal") };
//! let end = End::done(position, key, key, 1, Some(b"an answer".to_vec()));
//! let ticket = opened.journal.push(Record::End(end))?;
//! opened.journal.wait(ticket)?;
//! drop(opened);
//!
//! let opened = Journal::open(&path, &Options::default())?;
//! let mut walk = Walk::new(&opened.journal)?;
//! let Found::Over(over) = walk.look(key, key)? else { panic!("it was recorded") };
//! assert_eq!(opened.journal.read(over.number)?.body.as_deref(), Some(&b"an answer"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | noun |
//! |---|---|
//! | [`Journal`] | an open journal: records go in, results come back |
//! | `record` | what is recorded |
//! | `past` | what opening finds: counts, unfinished calls, charges |
//! | [`Walk`], `keys` | the inputs of a run, matched with the calls of the journal |
//! | [`Policy`] | what becomes of the inputs then |
//! | [`Lookup`] | both, for lists of calls one after another |
//! | `store`, `schema`, `sum` | the tables, and a checksum in each row |
//! | `writer`, `rescue` | the thread that commits, and what it does on a full disk |
//! | `place`, `side`, `ballast` | the files: whose, where, how long, and room for the worst case |
//! | [`Beside`] | a file that may be lost: the statistics of its runs |
//! | `peek`, `log` | a glance at a journal, whoever has it; one who only looks on; how neither leaves a log |
//! | `verify`, `salvage` | what is damaged, and what can be kept |
//! | [`Digest`] | keys of calls, hashes of requests |
//!
//! It never runs code from a file: a journal is data only.

#![expect(
    clippy::cast_sign_loss,
    reason = "the database has signed numbers only; positions and counts are not below zero"
)]

mod ballast;
mod beside;
mod digest;
mod error;
mod journal;
mod keys;
mod log;
mod look;
mod lookup;
mod opening;
mod pages;
mod past;
mod peek;
mod place;
mod policy;
mod reading;
mod record;
mod rescue;
mod rows;
mod salvage;
mod schema;
mod side;
mod store;
mod sum;
mod totals;
mod verify;
mod walk;
mod wall;
mod writer;

pub use beside::{Beside, write_whole};
pub use digest::{Digest, Hasher};
pub use error::{Damage, JournalError, OpenError, Table};
pub use journal::{Durability, Journal, Opened, Options, Ticket};
pub use lookup::Lookup;
pub use opening::remove;
pub use past::{Charge, Counts, Meter, Past, Unfinished};
pub use peek::{Onlooker, Peeked, peek};
pub use policy::{Begun, Decision, Objection, OnChange, OnUnknown, Policy};
pub use record::{Back, Charged, Dispatch, End, Ended, Failure, Position, Record, State};
pub use salvage::{Salvaged, salvage};
pub use verify::{Verified, verify};
pub use walk::{Census, Found, Over, Walk};
pub use wall::Wall;
