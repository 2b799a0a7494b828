//! How a journal is opened: looked at first, and written only when it is found to be good.

use std::io;
use std::path::Path;

use crate::ballast::{self, Ballast};
use crate::beside::ENDING;
use crate::error::{OpenError, Table};
use crate::journal::{Durability, Options};
use crate::log::Log;
use crate::look::{self, Damages, Seen};
use crate::past::{self, Past};
use crate::place::{self, Held, Kind};
use crate::reading::is_damage;
use crate::rescue;
use crate::rows::JobRow;
use crate::side::{self, Count, Side, Tally};
use crate::store::{self, Store};
use crate::sum::Id;
use crate::verify;

/// A journal that is open, but for the thread that writes it.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) side: Side,
    pub(crate) ballast: Ballast,
    pub(crate) past: Past,
}

/// Opens the journal at a path that is held. Where that fails, its files are what they were.
pub(crate) fn open(path: &Path, held: &mut Held, options: &Options) -> Result<Parts, OpenError> {
    let failed = system(path);
    let refused = |error| refused(path, &error);
    let count = side::count(path).map_err(failed)?;
    if count == Count::Foreign {
        return Err(foreign(&side::path(path), "it is no count of a journal"));
    }
    let bytes = ballast::size(options.max_concurrent);
    refuse_strangers(path)?;
    if is_new(path, held, count)? {
        create(path, held, options)?;
    }
    let log = Log::beside(path);
    let (store, seen) = look(path, held, count).inspect_err(|_| log.forget())?;
    let mut store = store;
    let ballast = Ballast::set_aside(path, bytes).map_err(failed);
    let ballast = ballast.inspect_err(|_| log.forget())?;
    let (lost, torn, uncounted) = missing(count, Tally::from(&seen.totals));
    let side = Side::open(path, &holder(), Tally::from(&seen.totals)).map_err(failed)?;
    let mut past = past::begin(path, &mut store, seen, &options.resources).map_err(refused)?;
    (past.lost, past.torn, past.uncounted) = (lost, torn, uncounted);
    side.put(Tally::from(&store.totals)).map_err(failed)?;
    let power = options.durability == Durability::Power;
    if power {
        side.sync().map_err(failed)?;
        place::sync_folder(path).map_err(failed)?;
    }
    store.durable(power).map_err(refused)?;
    Ok(Parts {
        store,
        side,
        ballast,
        past,
    })
}

/// Another program's log would be played back into the file: no journal ever has one of this kind.
fn refuse_strangers(path: &Path) -> Result<(), OpenError> {
    let stranger = place::beside(path, "-journal");
    if stranger.symlink_metadata().is_ok() {
        return Err(OpenError::Foreign {
            path: stranger,
            what: "it belongs to another program, and lies beside a journal".to_owned(),
        });
    }
    Ok(())
}

/// Whether there is nothing yet; what is no journal is refused.
fn is_new(path: &Path, held: &Held, count: Count) -> Result<bool, OpenError> {
    let damage = |what: String| {
        let mut damages = Damages::default();
        damages.add(Table::Meta, None, what);
        Err(damaged(path, damages))
    };
    match (held.kind().map_err(system(path))?, count) {
        (Kind::Journal, _) => Ok(false),
        (Kind::Newer(found), _) => Err(newer(path, found)),
        (Kind::Empty, Count::Known(tally)) if tally.results > 0 => damage(format!(
            "the file is empty or gone, and {} results were in it",
            tally.results
        )),
        (Kind::Empty, _) if Log::beside(path).is_there() => {
            damage("the file is empty or gone, and its log is there".to_owned())
        }
        (Kind::Empty, _) => Ok(true),
        // Its count tells a journal with a damaged beginning from a file of somebody else.
        (Kind::Broken(what), _) | (Kind::Foreign(what), Count::Known(_)) => damage(what.to_owned()),
        (Kind::Foreign(what), _) => Err(foreign(path, what)),
    }
}

/// Makes an empty journal under another name, and gives it its own when it is whole.
fn create(path: &Path, held: &mut Held, options: &Options) -> Result<(), OpenError> {
    let fresh = place::beside(path, ".new");
    let result = make(&fresh, Id::random(), options.job.clone());
    let result = result.and_then(|store| store.close().map_err(|error| refused(path, &error)));
    let result = result.and_then(|()| held.replace(&fresh).map_err(system(path)));
    if result.is_err() {
        forget(&fresh);
    }
    result
}

/// Makes an empty journal that nobody has yet.
pub(crate) fn make(fresh: &Path, id: Id, job: Vec<(String, String)>) -> Result<Store, OpenError> {
    forget(fresh);
    place::create_private(fresh).map_err(system(fresh))?;
    let store = Store::create(fresh, id, &JobRow(job));
    store.map_err(|error| refused(fresh, &error))
}

/// Removes what a run left that died while it made a file.
pub(crate) fn forget(fresh: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(place::beside(fresh, suffix));
    }
}

/// Opens the file and looks at it; nothing is written.
fn look(path: &Path, held: &Held, count: Count) -> Result<(Store, Seen), OpenError> {
    let bytes = held.bytes().map_err(system(path))?;
    let has_log = Log::beside(path).is_there();
    let mut damages = Damages::default();
    let looked = store::connect(path, true).and_then(|db| {
        let seen = look::look(&db, &mut damages)?;
        let expected = seen.pages * crate::schema::PAGE as u64;
        if damages.is_empty() && !has_log && bytes != expected {
            let what = format!("the file has {bytes} bytes, not {expected}");
            damages.add(Table::Meta, None, what);
        }
        if damages.is_empty() && is_of_another(count, Tally::from(&seen.totals)) {
            damages.add(Table::Meta, None, ANOTHER);
        }
        let (_, torn, _) = missing(count, Tally::from(&seen.totals));
        if damages.is_empty() && torn {
            // What is gone may have been in the tables already, in part.
            verify::deep(&db, &seen, &mut damages)?;
        }
        Ok((db, seen))
    });
    if !damages.is_empty() {
        return Err(damaged(path, damages));
    }
    let (db, seen) = looked.map_err(|error| refused(path, &error))?;
    let store = Store::of(db, seen.totals, seen.resources.clone());
    Ok((store, seen))
}

/// What is said of a journal that lies where another one was.
pub(crate) const ANOTHER: &str = "the count beside it is that of another journal";

/// Whether the count tells of results that another journal has.
pub(crate) fn is_of_another(count: Count, found: Tally) -> bool {
    matches!(count, Count::Known(counted) if counted.id != found.id && counted.results > 0)
}

/// Results that are gone, whether anything is, and whether that cannot be told.
pub(crate) fn missing(count: Count, found: Tally) -> (u64, bool, bool) {
    match count {
        Count::Known(counted) if counted.id == found.id => {
            let lost = counted.results.saturating_sub(found.results);
            (lost, lost > 0 || counted.commits > found.commits, false)
        }
        // The count of a journal that was here before is none of this one.
        Count::Known(_) => (0, false, found.results > 0),
        Count::Damaged | Count::Foreign => (0, false, true),
        // A journal that has just been made has none yet.
        Count::Missing => (0, false, found.commits > 0),
    }
}

/// Removes a journal and all that belongs to it, results that were kept elsewhere included.
///
/// # Errors
/// It is in use, is no journal, or cannot be removed.
pub fn remove(path: &Path) -> Result<(), OpenError> {
    let mut held = None;
    if path.symlink_metadata().is_ok() {
        let taken = Held::take(path)?;
        if let Kind::Foreign(what) = taken.kind().map_err(system(path))? {
            return Err(foreign(path, what));
        }
        held = Some(taken);
    }
    if let Ok(Count::Known(tally)) = side::count(path) {
        rescue::forget(path, tally.id);
    }
    forget(&place::beside(path, ".new"));
    forget(&place::beside(path, ".salvage"));
    // The file goes last: until then nobody else can have the others.
    for suffix in [ENDING, "-ballast", "-wal", "-shm", "-count", ""] {
        match std::fs::remove_file(place::beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(system(path)(error));
            }
            _ => {}
        }
    }
    drop(held);
    Ok(())
}

pub(crate) fn system(path: &Path) -> impl Fn(io::Error) -> OpenError + Copy {
    move |source| OpenError::System {
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn foreign(path: &Path, what: &str) -> OpenError {
    OpenError::Foreign {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

pub(crate) fn newer(path: &Path, found: i64) -> OpenError {
    OpenError::Newer {
        path: path.to_owned(),
        found,
        known: crate::schema::FORMAT,
    }
}

pub(crate) fn damaged(path: &Path, damages: Damages) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        damages: damages.first,
        more: damages.more,
    }
}

/// What an error of the database means for opening.
pub(crate) fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
        return system(path)(io::ErrorKind::StorageFull.into());
    }
    if is_damage(error) {
        let mut damages = Damages::default();
        damages.add(Table::Meta, None, error.to_string());
        return damaged(path, damages);
    }
    OpenError::Database {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

/// The error, or that there is no room, where that is what is behind it: of a full disk the database says now and then
/// that it failed, and no more.
pub(crate) fn for_want_of_room(path: &Path, bytes: u64, error: OpenError) -> OpenError {
    let full = match &error {
        OpenError::System { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ),
        OpenError::Database { .. } => place::room(path).is_some_and(|room| room < bytes),
        _ => false,
    };
    if !full {
        return error;
    }
    OpenError::NoRoom {
        path: path.to_owned(),
        bytes,
    }
}

/// Who has a journal, in words for others.
pub(crate) fn holder() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let process = std::process::id();
    let since = jiff::Timestamp::now();
    format!("process {process} on {host}, since {since:.0}")
}
