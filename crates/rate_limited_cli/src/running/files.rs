//! How many files the process may have open.

use crate::refusal::Refusal;

/// So many are needed: by the runtime, the input, the output, the journal and a few connections.
const NEEDED: usize = 24;

/// Raises the limit as far as it goes: each call in flight is an open file. Where it stays, fewer of them
/// are in flight.
///
/// # Errors
/// There are too few for anything, which the layers below would only tell one by one, or by a panic.
pub(crate) fn make_room() -> Result<(), Refusal> {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let free = free();
    if free < NEEDED {
        return Err(Refusal::FewFiles {
            free,
            needed: NEEDED,
        });
    }
    Ok(())
}

/// How many files can be opened now, as far as it matters.
fn free() -> usize {
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let open = |_| std::fs::File::open(null);
    let files: Vec<_> = (0..NEEDED).map(open).collect();
    // A place without such a file says nothing of files.
    let is_short = |it: &std::io::Result<_>| {
        let error = it.as_ref().err();
        error.is_some_and(|error| matches!(error.raw_os_error(), Some(23 | 24)))
    };
    files.iter().filter(|it| !is_short(it)).count()
}
