//! The text of an answer, wherever its API puts it.

use serde_json::{Value, json};

/// Where answers have one text.
const TEXTS: [&str; 6] = [
    "/choices/0/message/content",
    "/message/content",
    "/choices/0/text",
    "/output_text",
    "/response",
    "/choices/0/message/refusal",
];

/// Where answers have a list of parts, of which those with a text count.
const PARTS: [&str; 4] = [
    "/content",
    "/choices/0/message/content",
    "/message/content",
    "/candidates/0/content/parts",
];

/// Where answers have numbers.
const VECTORS: [&str; 3] = ["/data/0/embedding", "/embeddings/0", "/embedding"];

/// The text of an answer. Of an embedding: its vector as JSON; of any other answer all of it, so that nothing
/// that was paid for is lost.
pub(crate) fn of(body: &[u8]) -> String {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let found = text(&answer).or_else(|| {
        let mut vectors = VECTORS.iter().filter_map(|place| answer.pointer(place));
        vectors.next().map(Value::to_string)
    });
    found.unwrap_or_else(|| answer.to_string())
}

/// The texts of all answers in one.
pub(crate) fn all(body: &[u8]) -> Vec<String> {
    let answer = serde_json::from_slice::<Value>(body).unwrap_or_default();
    for list in ["choices", "candidates"] {
        let several = answer.get(list).and_then(Value::as_array);
        if let Some(several) = several.filter(|several| several.len() > 1) {
            let each = several.iter().map(|one| json!({ list: [one] }));
            return each.map(|one| text(&one).unwrap_or_default()).collect();
        }
    }
    vec![of(body)]
}

fn text(answer: &Value) -> Option<String> {
    let mut texts = TEXTS
        .iter()
        .filter_map(|place| answer.pointer(place)?.as_str());
    if let Some(text) = texts.next() {
        return Some(text.to_owned());
    }
    let mut lists = PARTS
        .iter()
        .filter_map(|place| answer.pointer(place)?.as_array());
    if let Some(text) = lists.find_map(|parts| joined(parts.iter())) {
        return Some(text);
    }
    // A list of what was done, messages among it.
    let done = answer.get("output")?.as_array()?.iter();
    joined(
        done.filter_map(|it| it.get("content")?.as_array())
            .flatten(),
    )
}

/// The texts of parts; `None` if none has one. What the model thought is no answer.
fn joined<'a>(parts: impl Iterator<Item = &'a Value>) -> Option<String> {
    let is_thought = |part: &Value| part.get("thought").and_then(Value::as_bool) == Some(true);
    let texts = parts.filter(|part| !is_thought(part));
    let texts: Vec<_> = texts
        .filter_map(|part| part.get("text")?.as_str())
        .collect();
    (!texts.is_empty()).then(|| texts.concat())
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_text_is_found_in_every_shape() {
        for (body, text) in [
            (r#"{"choices": [{"message": {"content": "chat"}}]}"#, "chat"),
            (
                r#"{"choices": [{"message": {"content": null, "refusal": "no"}}]}"#,
                "no",
            ),
            (r#"{"choices": [{"text": "completion"}]}"#, "completion"),
            (
                r#"{"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "mes"}, {"type": "text", "text": "sages"}]}"#,
                "messages",
            ),
            (
                r#"{"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": "contents"}]}}]}"#,
                "contents",
            ),
            (
                r#"{"output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "responses"}]}]}"#,
                "responses",
            ),
            (
                r#"{"message": {"content": [{"type": "text", "text": "cohere"}]}}"#,
                "cohere",
            ),
            (r#"{"message": {"content": "ollama"}}"#, "ollama"),
            (r#"{"data": [{"embedding": [0.5, 1]}]}"#, "[0.5,1]"),
            (r#"{"tool": 1}"#, r#"{"tool":1}"#),
            ("plain", "plain"),
            (r#"{"choices": [{"message": {"content": ""}}]}"#, ""),
        ] {
            assert_eq!(of(body.as_bytes()), text, "{body}");
        }
    }
}
