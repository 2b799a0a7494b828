//! Keys of calls and hashes of requests.

use std::fmt;

use memchr::memchr2;
use sha2::{Digest as _, Sha256};

/// The first 16 bytes of a SHA-256: a call's key, or the hash of its request.
///
/// ```
/// use rate_limited_store::Digest;
///
/// // Parts are kept apart: moving a byte from one to the next makes another digest.
/// assert_ne!(Digest::of(&[b"ab", b"c"]), Digest::of(&[b"a", b"bc"]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of these parts.
    pub fn of(parts: &[&[u8]]) -> Digest {
        let mut hasher = Hasher::default();
        for part in parts {
            hasher.part(part);
        }
        hasher.finish()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes a [`Digest`] part by part.
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds a part, byte for byte.
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds a JSON text without the white space between its tokens, so that a file that was only
    /// formatted anew has the same digests. The order of keys counts.
    ///
    /// ```
    /// use rate_limited_store::Hasher;
    ///
    /// let digest = |json: &[u8]| {
    ///     let mut hasher = Hasher::default();
    ///     hasher.json(json);
    ///     hasher.finish()
    /// };
    /// assert_eq!(digest(br#"{ "a b": [1, 2] }"#), digest(br#"{"a b":[1,2]}"#));
    /// assert_ne!(digest(br#"{"a b":1}"#), digest(br#"{"ab":1}"#));
    /// ```
    pub fn json(&mut self, json: &[u8]) {
        let mut length = 0_u64;
        let (mut start, mut at) = (0, 0);
        while let Some(byte) = json.get(at) {
            if *byte == b'"' {
                at = behind_string(json, at + 1);
            } else if byte.is_ascii_whitespace() {
                self.0.update(&json[start..at]);
                length += (at - start) as u64;
                at += 1;
                start = at;
            } else {
                at += 1;
            }
        }
        self.0.update(&json[start..]);
        length += (json.len() - start) as u64;
        self.0.update(length.to_le_bytes());
    }

    /// The digest of all parts.
    pub fn finish(self) -> Digest {
        let whole = self.0.finalize();
        let mut digest = Digest::default();
        digest.0.copy_from_slice(&whole[..16]);
        digest
    }
}

/// The place behind the string whose first character is at `at`.
fn behind_string(json: &[u8], mut at: usize) -> usize {
    let end = |rest: &[u8]| memchr2(b'"', b'\\', rest);
    while let Some(found) = json.get(at..).and_then(end) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        // Whatever is escaped ends nothing.
        at += 1;
    }
    json.len()
}
