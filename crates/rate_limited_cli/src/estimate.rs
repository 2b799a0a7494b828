//! The tokens that a request may take, from its text alone: no tokenizer, no network.
//!
//! These are estimates, made to reserve quota before the real usage is known. English text has about
//! four characters a token; other scripts come close to one, so each character outside ASCII counts as
//! a token of its own. Text that splits badly (long numbers, random letters) may exceed the bound, and
//! images and sound are not counted at all; what the API then reports settles the account.

use crate::request::Request;

/// The characters of ASCII text that are taken for one token.
pub const CHARS_PER_TOKEN: u64 = 4;

/// The tokens added for each message, for its role and its separators; an estimate.
pub const TOKENS_PER_MESSAGE: u64 = 4;

/// The tokens added for each request, for the beginning of the answer; an estimate.
pub const TOKENS_PER_REQUEST: u64 = 4;

/// The most tokens that the prompt is expected to have; every input of an embedding request together.
pub fn prompt_tokens(request: &Request) -> u64 {
    let prompt = &request.prompt;
    let ascii = prompt.chars.saturating_sub(prompt.wide_chars);
    [
        ascii.div_ceil(CHARS_PER_TOKEN),
        prompt.wide_chars,
        prompt.token_ids,
        prompt.messages.saturating_mul(TOKENS_PER_MESSAGE),
        TOKENS_PER_REQUEST,
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

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

/// The tokens to reserve for a request: prompt and answers together.
///
/// ```
/// use rate_limited_cli::estimate::tokens_max;
/// use rate_limited_cli::input::{Item, Reader};
///
/// let line = r#"{"model": "m", "messages": [{"role": "user", "content": "Hello, cat!"}], "n": 2}"#;
/// let Some(Item::Request(request)) = Reader::stream(line.as_bytes(), "-").next().transpose()? else {
///     panic!("the line is a request")
/// };
/// // 11 characters are 3 tokens; 4 for the message, 4 for the request, 2 answers of 100 each.
/// assert_eq!(tokens_max(&request, 100), 3 + 4 + 4 + 200);
/// # Ok::<(), rate_limited_cli::input::InputError>(())
/// ```
pub fn tokens_max(request: &Request, answer_default: u64) -> u64 {
    prompt_tokens(request).saturating_add(answer_tokens(request, answer_default))
}
