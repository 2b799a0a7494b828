//! Plain numbers: amounts, seconds, milliseconds, protobuf durations, pairs.

use std::borrow::Cow;
use std::time::Duration;

use rate_limited_core::Amount;

use crate::moment::WAIT_MAX;

const SECOND: u128 = 1_000_000_000;

/// An amount: digits, perhaps with a fraction, an exponent, or commas between thousands. No sign.
///
/// ```
/// use rate_limited_apis::parse::number;
/// use rate_limited_core::Amount;
///
/// assert_eq!(number("30,000"), Some(Amount::units(30_000)));
/// assert_eq!(number(" 598.5 "), Amount::cost(598.5).ok());
/// assert_eq!(number("-1"), None);
/// assert_eq!(number("3,0"), None);
/// ```
pub fn number(text: &str) -> Option<Amount> {
    let micros = scaled(&without_commas(text.trim())?, 1_000_000)?;
    i64::try_from(micros).ok().map(Amount::from_micros)
}

/// Whether a field says that it does not know: it is empty, or negative as in `-1`.
///
/// ```
/// use rate_limited_apis::parse::is_unknown;
///
/// assert!(is_unknown("-1") && is_unknown(" "));
/// assert!(!is_unknown("soon"));
/// ```
pub fn is_unknown(text: &str) -> bool {
    let text = text.trim();
    let negative = text.strip_prefix('-');
    text.is_empty() || negative.is_some_and(|number| scaled(number, 1).is_some())
}

/// Seconds, perhaps with a fraction: `10`, `64.57`.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::parse::seconds;
///
/// assert_eq!(seconds("64.57"), Some(Duration::from_millis(64_570)));
/// assert_eq!(seconds("1e3"), Some(Duration::from_secs(1_000)));
/// assert_eq!(seconds("10s"), None);
/// ```
pub fn seconds(text: &str) -> Option<Duration> {
    scaled(text.trim(), SECOND).map(cut)
}

/// Milliseconds, perhaps with a fraction, as in `retry-after-ms: 2000`.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::parse::milliseconds;
///
/// assert_eq!(milliseconds("2000"), Some(Duration::from_secs(2)));
/// ```
pub fn milliseconds(text: &str) -> Option<Duration> {
    scaled(text.trim(), SECOND / 1_000).map(cut)
}

/// A protobuf duration in JSON: seconds with an `s`, as in Google's `RetryInfo`.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::parse::proto_duration;
///
/// assert_eq!(proto_duration("38.2s"), Some(Duration::from_millis(38_200)));
/// assert_eq!(proto_duration("38.2"), None);
/// ```
pub fn proto_duration(text: &str) -> Option<Duration> {
    seconds(text.trim().strip_suffix('s')?)
}

/// What is used, and of how much: `32/40`.
///
/// ```
/// use rate_limited_apis::parse::used_of;
/// use rate_limited_core::Amount;
///
/// assert_eq!(used_of("32/40"), Some((Amount::units(32), Amount::units(40))));
/// ```
pub fn used_of(text: &str) -> Option<(Amount, Amount)> {
    let (used, size) = text.split_once('/')?;
    Some((number(used)?, number(size)?))
}

/// A decimal times `unit`, exact but for what lies beyond 18 places, or where there is an exponent; larger
/// ones than `u128` holds stop at its end.
pub(super) fn scaled(text: &str, unit: u128) -> Option<u128> {
    if text.contains(['e', 'E']) && text.starts_with(|first: char| first.is_ascii_digit()) {
        #[expect(
            clippy::cast_sign_loss,
            reason = "a number that begins with a digit has no sign"
        )]
        return text
            .parse::<f64>()
            .ok()
            .map(|number| (number * unit as f64) as u128);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + part.len() == 0 || !digits(whole) || !digits(part) {
        return None;
    }
    let value = |digits: &str| {
        digits.bytes().fold(0_u128, |sum, digit| {
            sum.saturating_mul(10)
                .saturating_add(u128::from(digit - b'0'))
        })
    };
    let part = &part[..part.len().min(18)];
    let places = 10_u128.pow(part.len() as u32);
    let part = value(part).saturating_mul(unit) / places;
    Some(value(whole).saturating_mul(unit).saturating_add(part))
}

/// Nanoseconds as a duration of at most [`WAIT_MAX`].
pub(super) fn cut(nanos: u128) -> Duration {
    u64::try_from(nanos).map_or(WAIT_MAX, |nanos| Duration::from_nanos(nanos).min(WAIT_MAX))
}

/// The number without the commas between its thousands; `None` if they stand elsewhere.
fn without_commas(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(',') {
        return Some(text.into());
    }
    let whole = text.split('.').next().unwrap_or_default();
    let mut groups = whole.split(',');
    let first = groups
        .next()
        .is_some_and(|first| (1..=3).contains(&first.len()));
    let well_placed = first && groups.all(|group| group.len() == 3);
    (well_placed && !text[whole.len()..].contains(',')).then(|| text.replace(',', "").into())
}
