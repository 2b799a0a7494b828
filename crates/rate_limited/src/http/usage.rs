//! How many tokens an answer says it used.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Beyond this a count is garbage; below it every integer is exact as a float, too.
const TOKENS_MAX: u64 = 1 << 53;

/// The tokens of `usage.total_tokens`, else the sum of those in and out.
pub(super) fn total_tokens(body: &[u8]) -> Option<u64> {
    let top: Top<'_> = serde_json::from_slice(body).ok()?;
    let usage: Usage = serde_json::from_str(top.usage?.get()).ok()?;
    match usage.total {
        Count::Absent => usage.sum(),
        Count::Garbage => None,
        Count::Tokens(total) => Some(total),
    }
}

#[derive(serde::Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Usage {
    #[serde(rename = "total_tokens")]
    total: Count,
    #[serde(rename = "prompt_tokens")]
    prompt: Count,
    #[serde(rename = "input_tokens")]
    input: Count,
    #[serde(rename = "completion_tokens")]
    completion: Count,
    #[serde(rename = "output_tokens")]
    output: Count,
}

impl Usage {
    fn sum(&self) -> Option<u64> {
        let before = self.prompt.or(self.input);
        let after = self.completion.or(self.output);
        match (before, after) {
            (Count::Garbage, _) | (_, Count::Garbage) | (Count::Absent, Count::Absent) => None,
            (before, after) => Some(before.tokens() + after.tokens()),
        }
    }
}

/// A count that refuses nothing, so that one odd field does not hide the others.
#[derive(Clone, Copy, Default)]
enum Count {
    #[default]
    Absent,
    Garbage,
    Tokens(u64),
}

impl Count {
    fn or(self, other: Count) -> Count {
        if matches!(self, Count::Absent) {
            other
        } else {
            self
        }
    }

    fn tokens(self) -> u64 {
        if let Count::Tokens(tokens) = self {
            tokens
        } else {
            0
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Count, E> {
        Ok(if value <= TOKENS_MAX {
            Count::Tokens(value)
        } else {
            Count::Garbage
        })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
        Ok(Count::Garbage)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    fn visit_f64<E>(self, value: f64) -> Result<Count, E> {
        let fits = (0.0..=TOKENS_MAX as f64).contains(&value);
        Ok(if fits {
            Count::Tokens(value.ceil() as u64)
        } else {
            Count::Garbage
        })
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count::Garbage)
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count::Garbage)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count::Garbage)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count::Garbage)
    }
}

#[cfg(test)]
mod tests {
    use super::total_tokens;

    #[track_caller]
    fn check(usage: &str, want: Option<u64>) {
        assert_eq!(
            total_tokens(format!(r#"{{"usage":{usage}}}"#).as_bytes()),
            want,
            "{usage}"
        );
    }

    #[test]
    fn shapes_of_the_apis() {
        check(
            r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#,
            Some(7),
        );
        check(r#"{"prompt_tokens":3,"completion_tokens":4}"#, Some(7));
        check(r#"{"input_tokens":3,"output_tokens":4}"#, Some(7));
        check(r#"{"prompt_tokens":3,"total_tokens":3}"#, Some(3));
        check(r#"{"prompt_tokens":3}"#, Some(3));
        check(
            r#"{"input_tokens":3,"output_tokens":4,"total_tokens":null}"#,
            Some(7),
        );
        check(
            r#"{"total_tokens":12.7,"prompt_tokens_details":{"cached_tokens":[1]}}"#,
            Some(13),
        );
    }

    #[test]
    fn garbage_is_unknown() {
        for usage in [
            "null",
            "[]",
            "{}",
            "7",
            r#"{"type":"duration","seconds":3}"#,
        ] {
            check(usage, None);
        }
        for count in [
            "-1",
            "1e308",
            "\"12\"",
            "NaN",
            "true",
            "[1]",
            "{\"a\":1}",
            "-0.5",
            "99999999999999999999",
        ] {
            check(
                &format!(r#"{{"total_tokens":{count},"prompt_tokens":1}}"#),
                None,
            );
            check(
                &format!(r#"{{"prompt_tokens":1,"completion_tokens":{count}}}"#),
                None,
            );
        }
        assert_eq!(total_tokens(b"\xff{"), None);
    }
}
