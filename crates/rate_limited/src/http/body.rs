//! Reads a body, but never more than its cap.

use reqwest::Response;

/// The body of an error is a message, not a result: more than this of it is never needed.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// As much of a body as came, and what stopped it before its end.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) fault: Option<Fault>,
}

/// What stopped a body before its end.
pub(super) enum Fault {
    TooLarge,
    Broken(reqwest::Error),
}

/// Reads to the end, the cap or the first fault. The cap counts decompressed bytes, chunk by chunk,
/// so that neither an endless body nor a small one that unpacks to a huge one fills the memory.
pub(super) async fn read(mut response: Response, bytes_max: usize) -> Body {
    let is_success = response.status().is_success();
    let bytes_max = if is_success {
        bytes_max
    } else {
        bytes_max.min(ERROR_BYTES_MAX)
    };
    let mut bytes = Vec::new();
    let fault = loop {
        match response.chunk().await {
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
