//! Reads a body, but never more than its cap.

use std::time::Duration;

use reqwest::Response;
use tokio::time::timeout;

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
}

/// What stopped a body before its end.
pub(super) enum Fault {
    TooLarge,
    /// Nothing came for so long.
    Silent(Duration),
    Broken(reqwest::Error),
}

/// Reads to the end, the cap or the first fault. The cap counts decompressed bytes, chunk by chunk,
/// so that neither an endless body nor a small one that unpacks to a huge one fills the memory.
///
/// Each piece has to come within the idle time-out.
pub(super) async fn read(mut response: Response, reading: &Reading) -> Body {
    let Reading {
        bytes_max,
        idle_timeout,
    } = *reading;
    let is_success = response.status().is_success();
    let bytes_max = if is_success {
        bytes_max
    } else {
        bytes_max.min(ERROR_BYTES_MAX)
    };
    let mut bytes = Vec::new();
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
            }
            Err(error) => break Some(Fault::Broken(error)),
        }
    };
    bytes.shrink_to_fit();
    Body { bytes, fault }
}
