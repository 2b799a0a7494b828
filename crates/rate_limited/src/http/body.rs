//! Reads a body, but never more than its cap.

use std::time::Duration;

use reqwest::Response;
use tokio::time::{Instant, timeout};

/// The body of an error is a message, not a result: more than this of it is never needed.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// As much of a body as came, and what stopped it before its end.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) fault: Option<Fault>,
}

/// How bodies are read.
pub(super) struct Reading {
    /// The longest body of a good answer.
    pub(super) bytes_max: usize,
    /// The longest silence between two pieces.
    pub(super) idle_timeout: Duration,
    /// The fewest bytes a second, on average over the longest silence.
    pub(super) min_speed: u32,
}

/// What stopped a body before its end.
pub(super) enum Fault {
    TooLarge,
    /// Nothing came for so long.
    Silent(Duration),
    /// Fewer than so many bytes a second came in so long.
    Slow(u32, Duration),
    Broken(reqwest::Error),
}

/// Reads to the end, the cap or the first fault. The cap counts decompressed bytes, chunk by chunk,
/// so that neither an endless body nor a small one that unpacks to a huge one fills the memory.
///
/// Each piece has to come within the idle time-out, and all of them with the lowest speed on average.
pub(super) async fn read(mut response: Response, reading: &Reading) -> Body {
    let idle_timeout = reading.idle_timeout;
    let bytes_max = if response.status().is_success() {
        reading.bytes_max
    } else {
        reading.bytes_max.min(ERROR_BYTES_MAX)
    };
    let mut bytes = Vec::new();
    let mut pace = Pace::new(reading);
    let fault = loop {
        let Ok(piece) = timeout(idle_timeout, response.chunk()).await else {
            break Some(Fault::Silent(idle_timeout));
        };
        match piece {
            Ok(None) => break None,
            Ok(Some(chunk)) => {
                let room = bytes_max - bytes.len();
                bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    break Some(Fault::TooLarge);
                }
                if pace.is_too_slow_with(&chunk) {
                    break Some(Fault::Slow(reading.min_speed, idle_timeout));
                }
            }
            Err(error) => break Some(Fault::Broken(error)),
        }
    };
    bytes.shrink_to_fit();
    Body { bytes, fault }
}

/// How fast a body comes, in stretches of the idle time-out. It is looked at with each piece: a silence between
/// two of them has its own end.
///
/// The first stretch begins with the first byte that is no blank: servers send blanks while they still
/// think, to keep proxies from closing the connection, and nothing of the answer is slow then.
struct Pace {
    stretch: Duration,
    bytes_min: u128,
    began: Option<Instant>,
    bytes: u128,
}

impl Pace {
    fn new(reading: &Reading) -> Pace {
        let (stretch, speed) = (reading.idle_timeout, u128::from(reading.min_speed));
        Pace {
            stretch,
            bytes_min: speed.saturating_mul(stretch.as_millis()) / 1_000,
            began: None,
            bytes: 0,
        }
    }

    /// Takes a piece in, and says whether the stretch that ends with it brought too little.
    fn is_too_slow_with(&mut self, chunk: &[u8]) -> bool {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        if self.began.is_none() && chunk.iter().all(is_blank) {
            return false;
        }
        self.bytes += chunk.len() as u128;
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() < self.stretch {
            return false;
        }
        let is_too_slow = self.bytes < self.bytes_min;
        self.began = Some(Instant::now());
        self.bytes = 0;
        is_too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces, each so many seconds after the one before, and which of them was one too slow.
    async fn too_slow(min_speed: u32, pieces: &[(u64, &[u8])]) -> Option<usize> {
        let mut pace = Pace::new(&Reading {
            bytes_max: 1,
            idle_timeout: Duration::from_secs(120),
            min_speed,
        });
        for (number, (after, piece)) in pieces.iter().enumerate() {
            tokio::time::advance(Duration::from_secs(*after)).await;
            if pace.is_too_slow_with(piece) {
                return Some(number);
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_slow() {
        let byte = (1, &b"x"[..]);
        // A byte a second: for a stretch it may be a short answer, then it is too slow.
        assert_eq!(too_slow(10, &[byte; 120]).await, None);
        assert_eq!(too_slow(10, &[byte; 200]).await, Some(120));
        assert_eq!(too_slow(1, &[byte; 500]).await, None);
        assert_eq!(too_slow(0, &[byte; 500]).await, None);
        // Blanks before the answer are no answer; behind its beginning they are one.
        assert_eq!(too_slow(10, &[(10, &b"\r\n"[..]); 500]).await, None);
        let thinks = [&[(10, &b" "[..]); 50][..], &[(1, &b"x"[..]); 60]].concat();
        assert_eq!(too_slow(10, &thinks).await, None);
        let stops = [&[(0, &b"{"[..])][..], &[(10, &b" "[..]); 50]].concat();
        assert_eq!(too_slow(10, &stops).await, Some(12));
        // A pause within a stretch is made up for by what comes behind it, but not by what came before.
        let pauses = [(0, &b"{"[..]), (119, &[b'x'; 600]), (1, &[b'x'; 600])];
        assert_eq!(too_slow(10, &pauses).await, None);
        let fades = [(0, &[b'x'; 9_000][..]), (120, b"x"), (60, b"x"), (60, b"x")];
        assert_eq!(too_slow(10, &fades).await, Some(3));
        assert_eq!(too_slow(u32::MAX, &[byte; 200]).await, Some(120));
    }
}
