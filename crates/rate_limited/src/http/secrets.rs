//! Hides the keys of a client in all that comes back.

use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr;

use super::Key;

/// Below this length a key is no secret but a word, and hiding it would maim honest answers.
const BYTES_MIN: usize = 8;
/// A piece of a key as short as this tells nothing: `sk-` stands before thousands of keys.
const PIECE_BYTES_MIN: usize = 4;
const MASK: &str = "***";

/// The byte strings that must not be seen, longest first.
#[derive(Clone, Default)]
pub(super) struct Secrets(Arc<[Vec<u8>]>);

impl Secrets {
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Secrets {
        let mut forms: Vec<Vec<u8>> = keys.into_iter().flat_map(forms_of).collect();
        // A form may hold another one inside it: the longer one has to go first.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Secrets(forms.into())
    }

    /// The body, copied only where there is something to hide. One that is cut off may end in the middle
    /// of a key: then that piece is hidden, too.
    pub(super) fn mask_bytes(&self, body: Bytes, is_cut: bool) -> Bytes {
        let masked = self
            .0
            .iter()
            .fold(body, |body, form| match replaced(&body, form) {
                Some(masked) => masked.into(),
                None => body,
            });
        let piece = self.0.iter().map(|form| piece_at_end(&masked, form)).max();
        match piece.filter(|&piece| is_cut && piece >= PIECE_BYTES_MIN) {
            Some(piece) => [&masked[..masked.len() - piece], MASK.as_bytes()]
                .concat()
                .into(),
            None => masked,
        }
    }

    pub(super) fn mask_text(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, form| match str::from_utf8(form) {
                Ok(form) if text.contains(form) => text.replace(form, MASK),
                _ => text,
            })
    }
}

fn forms_of(key: &Key) -> Vec<Vec<u8>> {
    let raw = key.reveal();
    let bearer = format!("Bearer {raw}");
    if raw.len() < BYTES_MIN {
        return vec![bearer.into_bytes()];
    }
    vec![
        raw.into(),
        percent_encoded(raw),
        base64(raw.as_bytes()),
        base64(bearer.as_bytes()),
        // As some writers of JSON have it.
        raw.replace('/', r"\/").into(),
    ]
}

/// How much of the form stands at the end of a body.
fn piece_at_end(body: &[u8], form: &[u8]) -> usize {
    let longest = form.len().min(body.len());
    let mut lengths = (1..=longest).rev();
    let found = lengths.find(|&length| body.ends_with(&form[..length]));
    found.unwrap_or(0)
}

fn replaced(body: &[u8], form: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body;
    let mut masked = Vec::new();
    while let Some(at) = position(rest, form) {
        masked.extend_from_slice(&rest[..at]);
        masked.extend_from_slice(MASK.as_bytes());
        rest = &rest[at + form.len()..];
    }
    if rest.len() == body.len() {
        return None;
    }
    masked.extend_from_slice(rest);
    Some(masked)
}

fn position(body: &[u8], form: &[u8]) -> Option<usize> {
    let (&first, tail) = form.split_first()?;
    let mut from = 0;
    while let Some(step) = memchr(first, &body[from..]) {
        let at = from + step;
        if body[at + 1..].starts_with(tail) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn percent_encoded(text: &str) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(byte);
            }
            _ => encoded.extend([
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
    }
    encoded
}

/// What percent signs stand for; those that stand for nothing stay.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut decoded = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece
            .get(..2)
            .filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(byte);
            decoded.extend_from_slice(&piece.as_bytes()[2..]);
        } else {
            decoded.push(b'%');
            decoded.extend_from_slice(piece.as_bytes());
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Base64 without padding: a padded echo holds the unpadded form.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = Vec::new();
    for group in bytes.chunks(3) {
        let word = group
            .iter()
            .fold(0_u32, |word, &byte| word << 8 | u32::from(byte));
        let word = word << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            encoded.push(DIGITS[(word >> (18 - 6 * digit) & 63) as usize]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        assert_eq!(base64(b"Man"), b"TWFu");
        assert_eq!(base64(b"Ma"), b"TWE");
        assert_eq!(base64(b"M"), b"TQ");
    }

    #[test]
    fn all_forms_are_hidden_and_nothing_else() {
        let secrets = Secrets::new([&Key::new("sk-CANARY/1+2").unwrap()]);
        let body = Bytes::from_static(
            br"a sk-CANARY/1+2 b sk-CANARY%2F1%2B2 c c2stQ0FOQVJZLzErMg== d sk-CANARY\/1+2 e sk-CAN",
        );
        let masked = secrets.mask_bytes(body, false);
        assert_eq!(masked, "a *** b *** c ***== d *** e sk-CAN".as_bytes());
        assert_eq!(secrets.mask_text("sk-CANARY/1+2sk-CANARY/1+2"), "******");
    }

    #[test]
    fn pieces_of_a_key_are_hidden_where_a_body_is_cut() {
        let secrets = Secrets::new([&Key::new("sk-CANARY/1+2").unwrap()]);
        for (end, want) in [
            ("sk-CANARY/1+", "at ***"),
            ("sk-C", "at ***"),
            ("sk-", "at sk-"),
            ("sk-CANARY/1+2", "at ***"),
            ("sk-CANARY%2", "at ***"),
            ("c2stQ0F", "at ***"),
            ("", "at "),
        ] {
            let body = Bytes::from(format!("at {end}"));
            assert_eq!(secrets.mask_bytes(body, true), want.as_bytes(), "{end}");
        }
    }

    #[test]
    fn short_keys_are_hidden_behind_bearer_only() {
        let secrets = Secrets::new([&Key::new("EMPTY").unwrap()]);
        assert_eq!(secrets.mask_text("Bearer EMPTY is EMPTY"), "*** is EMPTY");
    }
}
