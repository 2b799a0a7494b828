//! How long the tests are: seconds as a rule, and as long as one likes with `RATE_LIMITED_SOAK=N`.

use std::time::{Duration, Instant};

/// How often something is done: `short` as a rule, `long` times N with `RATE_LIMITED_SOAK=N`.
pub(crate) fn times(short: u64, long: u64) -> u64 {
    match std::env::var("RATE_LIMITED_SOAK") {
        Ok(factor) => {
            long * factor
                .parse::<u64>()
                .expect("RATE_LIMITED_SOAK is a number")
        }
        Err(_) => short,
    }
}

/// Tells a figure; shown by `cargo test -- --nocapture`.
pub(crate) fn tell(text: &str) {
    eprintln!("journal: {text}");
}

/// Numbers that look random and are the same in each run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Calls `work` with 0 to `count` on a few threads, whatever fails; none may take longer than a minute.
pub(crate) fn in_parallel(count: usize, work: impl Fn(usize) + Sync) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let [next, done, failed] = [0; 3].map(AtomicUsize::new);
    let busy: Vec<_> = (0..threads).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for busy in &busy {
            let run = || {
                let done = Last(&done);
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= count {
                        break;
                    }
                    *busy.lock().expect("no panic") = Some((item, Instant::now()));
                    let done = catch_unwind(AssertUnwindSafe(|| work(item)));
                    *busy.lock().expect("no panic") = None;
                    failed.fetch_add(usize::from(done.is_err()), Ordering::Relaxed);
                }
                drop(done);
            };
            scope.spawn(run);
        }
        while done.load(Ordering::Acquire) < threads {
            std::thread::sleep(Duration::from_millis(50));
            for busy in &busy {
                let hangs = busy.lock().expect("no panic");
                let hangs = hangs.filter(|(_, since)| since.elapsed() > Duration::from_secs(60));
                if let Some((item, _)) = hangs {
                    eprintln!("item {item} hangs");
                    std::process::abort();
                }
            }
        }
    });
    let failed = failed.into_inner();
    assert_eq!(failed, 0, "{failed} of {count} failed");
}

/// Counts a thread that has ended, be it by a panic.
struct Last<'a>(&'a std::sync::atomic::AtomicUsize);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Release);
    }
}

/// A folder in memory where there is one: waiting for a disk proves nothing here.
pub(crate) fn memory() -> tempfile::TempDir {
    let shm = std::path::Path::new("/dev/shm");
    if shm.is_dir() {
        tempfile::tempdir_in(shm).expect("a folder")
    } else {
        tempfile::tempdir().expect("a folder")
    }
}
