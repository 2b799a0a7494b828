//! Which class an answer is of: ordered rules for OpenAI-compatible APIs.

use std::time::Duration;

use rate_limited_core::Class;

use super::api_error::ApiError;

/// The account has run dry. A wait does not help, even where the answer names one.
const QUOTA_GONE: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
];
const THROTTLED: &[&str] = &["rate_limit_exceeded", "slow_down"];
/// Refusals of one request for what it says, though some of them come as a 403.
const CONTENT: &[&str] = &[
    "misalignment_policy_violation",
    "content_policy_violation",
    "content_filter",
];

/// What a refusal says there was too much of.
///
/// A driver maps it to a resource of its own; see [`HttpError::unit`](super::HttpError::unit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Requests per window.
    Requests,
    /// Tokens per window.
    Tokens,
}

/// The class of an answer that is not a good one. The first rule that fits decides.
pub(super) fn class_of(status: u16, error: &ApiError, wait: Option<Duration>) -> Class {
    // A wait of zero would be a storm of requests: then the scheduler's own back-off is better.
    let retry_after = wait.filter(|wait| !wait.is_zero());
    let refused = Class::Refused {
        resource: None,
        retry_after,
    };
    match status {
        400.. if is_quota_gone(error) => Class::Fatal,
        403 if error.flagged || error.has_code(CONTENT) => Class::Permanent,
        401..=403 => Class::Fatal,
        429 if is_too_large(error) => Class::Permanent,
        429 => refused,
        500..=599 if error.has_code(THROTTLED) => refused,
        503 | 529 if retry_after.is_some() => refused,
        408 | 409 | 425 | 500.. => Class::Failure,
        300..=499 => Class::Permanent,
        _ => Class::Failure,
    }
}

/// The status that an error inside a good answer stands for.
pub(super) fn status_of(error: &ApiError) -> u16 {
    let number = error.code.as_deref().and_then(|code| code.parse().ok());
    if let Some(status) = number.filter(|status| (400..=599).contains(status)) {
        return status;
    }
    let known = [error.code.as_deref(), error.kind.as_deref()];
    known
        .into_iter()
        .flatten()
        .find_map(status_of_word)
        .unwrap_or(500)
}

fn status_of_word(word: &str) -> Option<u16> {
    Some(match word {
        _ if QUOTA_GONE.contains(&word) || THROTTLED.contains(&word) => 429,
        "rate_limit_error" | "requests" | "tokens" => 429,
        _ if CONTENT.contains(&word) => 400,
        "invalid_request_error" | "invalid_prompt" | "context_length_exceeded" => 400,
        "authentication_error" | "invalid_api_key" => 401,
        "permission_error" => 403,
        "model_not_found" | "not_found_error" => 404,
        "overloaded_error" | "server_is_overloaded" | "service_unavailable_error" => 503,
        _ => return None,
    })
}

/// The unit that a refusal names, in its type or in its text.
pub(super) fn unit_of(error: &ApiError) -> Option<Unit> {
    match error.kind.as_deref() {
        Some("requests") => return Some(Unit::Requests),
        Some("tokens") => return Some(Unit::Tokens),
        _ => {}
    }
    let text = error.message.as_deref()?.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if names(&["(tpm)", "(tpd)", "tokens per "]) {
        Some(Unit::Tokens)
    } else if names(&["(rpm)", "(rpd)", "requests per "]) {
        Some(Unit::Requests)
    } else {
        None
    }
}

fn is_quota_gone(error: &ApiError) -> bool {
    // The type may still read `insufficient_quota` where the code says that a wait helps.
    error.has_code(QUOTA_GONE) || (!error.has_code(THROTTLED) && error.has_kind(QUOTA_GONE))
}

/// Whether the request alone is above the limit, so that it never fits.
fn is_too_large(error: &ApiError) -> bool {
    let text = error
        .message
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match (
        number_after(&text, "limit"),
        number_after(&text, "requested"),
    ) {
        (Some(limit), Some(requested)) => requested > limit,
        _ => text.contains("request too large"),
    }
}

/// The number behind a word; `30,000` is one, and `Limit: 5` has one, too.
fn number_after(text: &str, word: &str) -> Option<f64> {
    text.match_indices(word).find_map(|(at, word)| {
        let rest = text[at + word.len()..].trim_start_matches([' ', ':']);
        let end = rest.find(|char: char| !matches!(char, '0'..='9' | ',' | '.'));
        let digits = rest[..end.unwrap_or(rest.len())].replace(',', "");
        digits.trim_end_matches('.').parse().ok()
    })
}
