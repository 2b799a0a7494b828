//! The tokens that a request may take where no API is named: its prompt, as [`Prompt`] estimates it, and its
//! longest answers.
//!
//! [`Prompt`]: rate_limited_apis::Prompt

use crate::reading::request::Request;

/// The most tokens that all answers to a request may have together: its limit on one answer, or
/// `answer_default` where it has none, times the answers that it asks for; 0 for embeddings.
pub fn answer_tokens(request: &Request, answer_default: u64) -> u64 {
    if !request.generates {
        return 0;
    }
    request
        .max_tokens
        .unwrap_or(answer_default)
        .saturating_mul(request.n.max(1))
}

/// The tokens to reserve for a request: prompt and answers together; none without a body.
///
/// ```
/// use rate_limited_cli::reading::estimate::tokens_max;
/// use rate_limited_cli::reading::input::{Item, Reader};
///
/// let line = r#"{"model": "m", "messages": [{"role": "user", "content": "Hello, cat!"}], "n": 2}"#;
/// let Some(Item::Request(request)) = Reader::stream(line.as_bytes(), "-").next().transpose()? else {
///     panic!("the line is a request")
/// };
/// // 11 characters are 3 tokens; 4 for the message, 4 for the request, 2 answers of 100 each.
/// assert_eq!(tokens_max(&request, 100), 3 + 4 + 4 + 200);
/// # Ok::<(), rate_limited_cli::reading::input::InputError>(())
/// ```
pub fn tokens_max(request: &Request, answer_default: u64) -> u64 {
    if request.body.is_empty() {
        return 0;
    }
    let answers = answer_tokens(request, answer_default);
    request.prompt.tokens().saturating_add(answers)
}
