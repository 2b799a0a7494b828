//! Request bodies made from a prompt, in the shape that the path of the API takes.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::refusal::{Refusal, refused};
use crate::values::text::quoted;

/// The shapes of requests that can be made from a prompt, by the ends of their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A list of messages, the system's among them.
    Chat,
    /// A list of messages, the system's text beside it, and always a limit on the answer.
    Messages,
    /// One text, and instructions beside it.
    Responses,
    /// One text that is gone on with.
    Completion,
    /// Contents that consist of parts.
    Contents,
    /// One text, no answer in words.
    Embedding,
}

/// The paths of which it is known what they take, for messages.
pub(crate) const KNOWN: &str = "/chat/completions, /chat, /messages, /responses, /completions, \
    /models/NAME:generateContent and /embeddings";

impl Shape {
    /// What a path takes; `None`: that is not known.
    pub(crate) fn of(path: &str) -> Option<Shape> {
        let path = path.split('?').next().unwrap_or_default();
        let ends = [
            ("/chat/completions", Shape::Chat),
            ("/chat", Shape::Chat),
            ("/messages", Shape::Messages),
            ("/responses", Shape::Responses),
            ("/completions", Shape::Completion),
            (":generateContent", Shape::Contents),
            ("/embeddings", Shape::Embedding),
        ];
        let found = ends.iter().find(|(end, _)| path.ends_with(end));
        found.map(|(_, shape)| *shape)
    }

    /// Whether it has a place for a system prompt.
    pub(crate) fn has_system(self) -> bool {
        !matches!(self, Shape::Completion | Shape::Embedding)
    }

    /// Whether it answers in words.
    pub(crate) fn generates(self) -> bool {
        self != Shape::Embedding
    }

    /// Whether the path, not the body, names the model.
    pub(crate) fn names_model_in_path(self) -> bool {
        self == Shape::Contents
    }

    /// The fields that are made here; others may be told.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            Shape::Chat => &["messages"],
            Shape::Messages => &["messages", "system"],
            Shape::Responses => &["input", "instructions"],
            Shape::Completion => &["prompt"],
            Shape::Contents => &["contents", "systemInstruction"],
            Shape::Embedding => &["input"],
        }
    }

    /// The field for the longest answer, where the body has it on top.
    fn longest(self, is_new: bool) -> Option<&'static str> {
        match self {
            Shape::Chat if is_new => Some("max_completion_tokens"),
            Shape::Chat | Shape::Messages | Shape::Completion => Some("max_tokens"),
            Shape::Responses => Some("max_output_tokens"),
            Shape::Contents | Shape::Embedding => None,
        }
    }
}

/// What all bodies of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    pub(crate) shape: Shape,
    pub(crate) model: Option<String>,
    /// The longest answer, in tokens.
    pub(crate) max_tokens: Option<u64>,
    /// Whether the API takes the newer name of that.
    pub(crate) is_new: bool,
    /// Further fields.
    pub(crate) fields: Map<String, Value>,
}

impl Bodies {
    /// Refuses further fields that are made here, too.
    ///
    /// # Errors
    /// There is one.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let model = self.model.is_some().then_some("model");
        let longest = self.max_tokens.and_then(|_| self.longest());
        let made = self.shape.fields().iter().copied();
        let mut made = made.chain(model).chain(longest);
        match made.find(|name| self.fields.contains_key(*name)) {
            Some(name) => Err(refused(format!(
                "--body sets {}, which the other options make: leave it out of one of them",
                quoted(name)
            ))),
            None => Ok(()),
        }
    }

    /// Whether the longest answer is told.
    pub(crate) fn has_longest(&self) -> bool {
        let field = self.longest().and_then(|name| self.fields.get(name));
        self.max_tokens.is_some() || field.is_some()
    }

    fn longest(&self) -> Option<&'static str> {
        self.shape.longest(self.is_new)
    }

    /// The body for a prompt.
    pub(crate) fn body(&self, prompt: &str, system: Option<&str>) -> String {
        let mut fields: Vec<(&str, Value)> = Vec::new();
        if let Some(model) = self.model.as_deref()
            && !self.shape.names_model_in_path()
        {
            fields.push(("model", model.into()));
        }
        fields.extend(self.asked(prompt, system));
        let longest = self.longest().zip(self.max_tokens);
        fields.extend(longest.map(|(name, most)| (name, most.into())));
        let mut more = self.fields.clone();
        if let (Shape::Contents, Some(most)) = (self.shape, self.max_tokens) {
            let config = more.entry("generationConfig").or_insert_with(|| json!({}));
            if let Some(config) = config.as_object_mut() {
                config.insert("maxOutputTokens".to_owned(), most.into());
            }
        }
        let more = more
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        fields.extend(more);
        serde_json::to_string(&Object(&fields)).unwrap_or_default()
    }

    fn asked(&self, prompt: &str, system: Option<&str>) -> Vec<(&'static str, Value)> {
        let user = || json!({"role": "user", "content": prompt});
        let beside = |name, value: Option<Value>| value.map(|value| (name, value));
        let (first, second) = match self.shape {
            Shape::Chat => {
                let system = system.map(|text| json!({"role": "system", "content": text}));
                let messages: Vec<_> = system.into_iter().chain([user()]).collect();
                (None, ("messages", messages.into()))
            }
            Shape::Messages => (
                beside("system", system.map(Value::from)),
                ("messages", json!([user()])),
            ),
            Shape::Responses => (
                beside("instructions", system.map(Value::from)),
                ("input", prompt.into()),
            ),
            Shape::Completion => (None, ("prompt", prompt.into())),
            Shape::Contents => (
                beside(
                    "systemInstruction",
                    system.map(|text| json!({"parts": [{"text": text}]})),
                ),
                (
                    "contents",
                    json!([{"role": "user", "parts": [{"text": prompt}]}]),
                ),
            ),
            Shape::Embedding => (None, ("input", prompt.into())),
        };
        first.into_iter().chain([second]).collect()
    }
}

/// An object with its fields in their order.
struct Object<'a>(&'a [(&'a str, Value)]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{Bodies, Shape};

    fn body(path: &str, more: &Value) -> Value {
        let bodies = Bodies {
            shape: Shape::of(path).expect(path),
            model: Some("m".to_owned()),
            max_tokens: Some(9),
            is_new: false,
            fields: more.as_object().cloned().unwrap_or_else(Map::new),
        };
        let system = bodies.shape.has_system().then_some("be brief");
        serde_json::from_str(&bodies.body("hello \"you\"", system)).expect("JSON")
    }

    #[test]
    fn every_path_gets_the_shape_that_it_takes() {
        let hello = "hello \"you\"";
        let user = json!({"role": "user", "content": hello});
        let chat = json!({"model": "m", "max_tokens": 9,
            "messages": [{"role": "system", "content": "be brief"}, user]});
        for (path, expected) in [
            ("/v1/chat/completions", chat.clone()),
            ("/v2/chat", chat),
            (
                "/v1/messages",
                json!({"model": "m", "max_tokens": 9, "system": "be brief", "messages": [user]}),
            ),
            (
                "/responses",
                json!({"model": "m", "max_output_tokens": 9, "instructions": "be brief", "input": hello}),
            ),
            (
                "/completions",
                json!({"model": "m", "max_tokens": 9, "prompt": hello}),
            ),
            (
                "/v1beta/models/m:generateContent",
                json!({"systemInstruction": {"parts": [{"text": "be brief"}]},
                    "contents": [{"role": "user", "parts": [{"text": hello}]}],
                    "generationConfig": {"maxOutputTokens": 9}}),
            ),
            ("/embeddings", json!({"model": "m", "input": hello})),
        ] {
            assert_eq!(body(path, &json!({})), expected, "{path}");
        }
        assert_eq!(Shape::of("/v1/images/generations"), None);
    }

    #[test]
    fn further_fields_stand_beside_those_that_are_made() {
        let found = body("/chat/completions", &json!({"temperature": 0}));
        assert_eq!(found["temperature"], 0);
        let found = body(
            "/m:generateContent",
            &json!({"generationConfig": {"seed": 1}}),
        );
        assert_eq!(
            found["generationConfig"],
            json!({"seed": 1, "maxOutputTokens": 9})
        );
    }
}
