//! `rate-limited clean`: what a journal leaves behind is removed.

use std::path::{Path, PathBuf};

use rate_limited_store::remove;

use crate::args::CleanArgs;
use crate::exit::Exit;
use crate::recording::journal::{self, FILES};
use crate::refusal::Refusal;
use crate::telling::say::{complain, say};

/// Removes the journal that the command line names.
pub(crate) fn clean(args: &CleanArgs) -> Exit {
    match try_clean(&args.path) {
        Ok(()) => Exit::Success,
        Err(refusal) => {
            complain(&refusal);
            refusal.exit()
        }
    }
}

fn try_clean(path: &Path) -> Result<(), Refusal> {
    let path = journal::named(path)?;
    let files = FILES.map(|ending| journal::with_ending(&path, ending));
    let there: Vec<PathBuf> = files
        .into_iter()
        .filter(|file| file.symlink_metadata().is_ok())
        .collect();
    remove(&path)?;
    for file in there.iter().filter(|file| file.symlink_metadata().is_err()) {
        say(format_args!("removed {}", file.display()));
    }
    Ok(())
}
