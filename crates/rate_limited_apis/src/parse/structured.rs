//! `RateLimit` and `RateLimit-Policy` of the IETF draft `draft-ietf-httpapi-ratelimit-headers`.

use std::time::Duration;

use rate_limited_core::Amount;

use super::{number, seconds};

/// One member of a `RateLimit` or `RateLimit-Policy` field.
///
/// ```
/// use rate_limited_apis::parse::structured;
/// use rate_limited_core::Amount;
/// use std::time::Duration;
///
/// let policies = structured(r#""burst";q=100;w=60, "daily";q=1000;w=86400"#).unwrap();
/// assert_eq!((policies[1].name.as_str(), policies[1].quota), ("daily", Some(Amount::units(1_000))));
/// let state = structured(r#""default";r=50;t=30"#).unwrap();
/// assert_eq!(state[0].remaining, Some(Amount::units(50)));
/// assert_eq!(state[0].reset, Some(Duration::from_secs(30)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The name of the policy; the last name, if an algorithm stands before it.
    pub name: String,
    /// `q`: the quota.
    pub quota: Option<Amount>,
    /// `qu`: the unit of the quota; `None`: requests.
    pub unit: Option<String>,
    /// `w`: the window.
    pub window: Option<Duration>,
    /// `r`: what remains.
    pub remaining: Option<Amount>,
    /// `t`: the time until more quota comes.
    pub reset: Option<Duration>,
    /// `pk`: the partition key, as it is written.
    pub key: Option<String>,
}

/// The members of a `RateLimit` or `RateLimit-Policy` field; a malformed field is ignored as a whole.
///
/// It takes what the draft's own grammar does not: names in a row, as `"fixed window";"api";q=500` at
/// Hugging Face. Parameters that are not known are left out.
pub fn structured(field: &str) -> Option<Vec<Member>> {
    let members = split(field, ',')?;
    members.into_iter().map(member).collect()
}

fn member(text: &str) -> Option<Member> {
    let mut member = Member::default();
    for (at, part) in split(text, ';')?.into_iter().enumerate() {
        let part = part.trim();
        match part.split_once('=') {
            Some((key, value)) if !part.starts_with('"') && at > 0 => {
                set(&mut member, key.trim_end(), value.trim_start())?;
            }
            // Beside strings only the first item is a name: a bare word behind it is a flag.
            _ if at == 0 || part.starts_with('"') => member.name = bare(part)?,
            _ => {}
        }
    }
    Some(member)
}

fn set(member: &mut Member, key: &str, value: &str) -> Option<()> {
    match key {
        "q" => member.quota = Some(number(value)?),
        "r" => member.remaining = Some(number(value)?),
        "w" => member.window = Some(seconds(value)?),
        "t" => member.reset = Some(seconds(value)?),
        "qu" => member.unit = Some(bare(value)?),
        "pk" => member.key = Some(value.to_owned()),
        _ => {}
    }
    Some(())
}

/// The text of a string or a token.
fn bare(item: &str) -> Option<String> {
    let Some(inner) = item.strip_prefix('"') else {
        let plain = !item.is_empty() && item.bytes().all(|byte| byte.is_ascii_graphic());
        return plain.then(|| item.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        text.push(if char == '\\' { chars.next()? } else { char });
    }
    Some(text)
}

/// The parts between separators that stand outside of quotes; `None` if a quote is left open.
pub(super) fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if char == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + char.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}
