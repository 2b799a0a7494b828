//! The command `rate-limited`, run by the interpreter's process.

use std::ffi::OsString;
use std::io::Write;

use pyo3::prelude::*;

/// Runs the command line `argv`, whose first item is the name of the program, and gives the exit code.
///
/// It is meant for a process that does nothing else: for a first Ctrl-C it waits for what is in flight, and
/// afterwards it leaves its handlers of signals behind. SIGINT is to be at the system's default before, since the
/// handlers also call the one they found, and the interpreter's would raise `KeyboardInterrupt` at the end.
#[pyfunction]
pub(crate) fn cli_main(py: Python<'_>, argv: Vec<OsString>) -> i32 {
    py.detach(|| {
        let code = rate_limited_cli::main(argv);
        // What a Rust process does by itself when it ends.
        let _ = std::io::stdout().flush();
        code
    })
}
