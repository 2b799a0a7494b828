//! What valid JSON may still do to those who read it later: nest too deep, hold infinite numbers.

use memchr::memchr2;

use crate::reading::bad_line::{BadReason, Fault};

/// The deepest nesting that is sent: 127 levels, the limit of the strictest common readers.
pub(crate) const DEPTH_MAX: usize = 127;

/// Looks through valid JSON once.
pub(crate) fn check(json: &str) -> Result<(), Fault> {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                finite(&json[at..end]).map_err(|reason| Fault::new(at, reason))?;
                at = end - 1;
            }
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Fault::new(at, BadReason::TooDeep));
        }
        at += 1;
    }
    Ok(())
}

/// The place of the quote that closes the string opened at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    bytes[start..]
        .iter()
        .position(|byte| !part(byte))
        .map_or(bytes.len(), |length| start + length)
}

fn finite(number: &str) -> Result<(), BadReason> {
    // Without an exponent it takes 309 digits to leave the range, so that most numbers are not parsed.
    let may_leave = number.len() > 308 || number.contains(['e', 'E']);
    if may_leave && number.parse::<f64>().is_ok_and(f64::is_infinite) {
        return Err(BadReason::NumberTooLarge(number.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BadReason, DEPTH_MAX, Fault, check};

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn the_depth_is_what_a_common_reader_accepts() {
        let reads = |json: &str| serde_json::from_str::<serde_json::Value>(json).is_ok();
        assert!(reads(&nested(DEPTH_MAX)) && !reads(&nested(DEPTH_MAX + 1)));
        assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
        assert_eq!(
            check(&nested(100_000)),
            Err(Fault::new(DEPTH_MAX, BadReason::TooDeep))
        );
    }

    #[test]
    fn brackets_and_numbers_in_strings_do_not_count() {
        assert_eq!(
            check(&format!(r#"["{}\"1e999\\",1e308,-2]"#, "[".repeat(500))),
            Ok(())
        );
    }

    #[test]
    fn infinite_numbers_are_found() {
        let fault =
            |at, text: &str| Err(Fault::new(at, BadReason::NumberTooLarge(text.to_owned())));
        assert_eq!(check(r#"{"a":-1e999}"#), fault(5, "-1e999"));
        let long = "9".repeat(400);
        assert_eq!(check(&format!("[{long}]")), fault(1, &long));
    }
}
