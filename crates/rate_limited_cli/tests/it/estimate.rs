use rate_limited_cli::reading::estimate::{answer_tokens, tokens_max};

use crate::lines::request;

#[test]
fn the_bound_is_text_messages_and_answers() {
    let cases = [
        // 4 for the request, 4 for the message, 9 characters in 3 tokens.
        (
            r#"{"messages":[{"content":"nine char"}],"max_tokens":50}"#,
            11,
            50,
        ),
        (
            r#"{"messages":[{"content":"nine char"},{"content":""}],"max_tokens":50,"n":3}"#,
            15,
            150,
        ),
        (r#"{"messages":[]}"#, 4, 1_000),
        (r#"{"messages":[],"n":0}"#, 4, 1_000),
        (r#"{"input":"eight ch"}"#, 6, 0),
        (r#"{"input":[[1,2],[3,4,5]]}"#, 9, 0),
        (r#"{"input":"猫と犬abcd"}"#, 8, 0),
    ];
    for (line, prompt, answer) in cases {
        let request = request(line);
        assert_eq!(request.prompt.tokens(), prompt, "{line}");
        assert_eq!(answer_tokens(&request, 1_000), answer, "{line}");
        assert_eq!(tokens_max(&request, 1_000), prompt + answer, "{line}");
    }
}

#[test]
fn absurd_bounds_stay_at_the_largest_number() {
    let request = request(r#"{"prompt":"x","max_tokens":18446744073709551615,"n":1e300}"#);
    assert_eq!(tokens_max(&request, 1), u64::MAX);
}
