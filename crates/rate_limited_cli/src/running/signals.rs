//! The signals that ask a run to end.

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its number.
    pub(crate) number: u8,
    /// Its name, for people.
    pub(crate) name: &'static str,
}

const INTERRUPT: Asked = Asked {
    number: 2,
    name: "Ctrl-C",
};

#[cfg(unix)]
pub(crate) use unix::{Signals, survive_large_files};

#[cfg(unix)]
mod unix {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::{Asked, INTERRUPT};

    const TERMINATE: Asked = Asked {
        number: 15,
        name: "SIGTERM",
    };
    const HANG_UP: Asked = Asked {
        number: 1,
        name: "SIGHUP",
    };

    /// SIGXFSZ, where Linux and the BSDs have it: a file would grow beyond the limit on its size.
    const FILE_TOO_LARGE: i32 = 25;

    /// From now on a file that would grow beyond a limit is an error of the write. To be called inside the
    /// runtime.
    pub(crate) fn survive_large_files() {
        // Heard and not heeded: the signal would end the process, while a failed write says the same.
        let _ = signal(SignalKind::from_raw(FILE_TOO_LARGE));
    }

    /// The signals as they come.
    #[derive(Debug)]
    pub(crate) struct Signals {
        interrupt: Option<Signal>,
        terminate: Option<Signal>,
        hang_up: Option<Signal>,
    }

    impl Signals {
        /// Listens from now on. A signal that is ignored, as under `nohup`, stays ignored.
        pub(crate) fn listen() -> io::Result<Signals> {
            let ignored = ignored();
            let listen = |asked: Asked, kind: SignalKind| {
                let heard = ignored >> (asked.number - 1) & 1 == 0;
                heard.then(|| signal(kind)).transpose()
            };
            Ok(Signals {
                interrupt: listen(INTERRUPT, SignalKind::interrupt())?,
                terminate: listen(TERMINATE, SignalKind::terminate())?,
                hang_up: listen(HANG_UP, SignalKind::hangup())?,
            })
        }

        /// Waits for the next one.
        pub(crate) async fn next(&mut self) -> Asked {
            tokio::select! {
                () = received(&mut self.interrupt) => INTERRUPT,
                () = received(&mut self.terminate) => TERMINATE,
                () = received(&mut self.hang_up) => HANG_UP,
            }
        }
    }

    async fn received(signal: &mut Option<Signal>) {
        let received = match signal {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if received.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// The signals that this process was told to ignore, one bit each from the lowest on; none where
    /// the system does not tell.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    }
}

#[cfg(not(unix))]
pub(crate) use elsewhere::{Signals, survive_large_files};

#[cfg(not(unix))]
mod elsewhere {
    use std::io;

    use super::{Asked, INTERRUPT};

    /// There is no such limit.
    pub(crate) fn survive_large_files() {}

    /// The signals as they come.
    #[derive(Debug)]
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn listen() -> io::Result<Signals> {
            Ok(Signals)
        }

        pub(crate) async fn next(&mut self) -> Asked {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            INTERRUPT
        }
    }
}
