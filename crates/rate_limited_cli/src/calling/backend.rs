//! One of those who are asked: a client with its key, and what is known of it.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use rate_limited::http::Client;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::calling::gate::Gate;

/// A client with its key, and what is known of it.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) client: Client,
    /// With a gate the first attempts go a few at a time.
    pub(crate) gate: Option<Gate>,
    /// The model that takes the place of that of requests.
    pub(crate) model: Option<String>,
    /// The first answer that said that no call can succeed by it.
    pub(crate) fatal: OnceLock<String>,
}

impl Backend {
    pub(crate) fn new(client: Client, gate: Option<Gate>) -> Backend {
        Backend {
            client,
            gate,
            model: None,
            fatal: OnceLock::new(),
        }
    }

    /// The body as it is sent.
    pub(crate) fn body(&self, body: &Bytes) -> Bytes {
        let model = self.model.as_deref();
        let changed = model.and_then(|model| with_model(body, model));
        changed.map_or_else(|| body.clone(), Bytes::from)
    }
}

/// The body with another model, all else as it was, byte for byte; `None` where it is no object.
fn with_model(body: &[u8], model: &str) -> Option<Vec<u8>> {
    let fields: Fields<'_> = serde_json::from_slice(body).ok()?;
    serde_json::to_vec(&Changed { fields, model }).ok()
}

/// The fields of an object in their order, their values as they are written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

struct Changed<'a> {
    fields: Fields<'a>,
    model: &'a str,
}

impl Serialize for Changed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", self.model)?;
        for (name, value) in &self.fields.0 {
            if name != "model" {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::with_model;

    #[test]
    fn the_model_is_replaced_and_nothing_else() {
        for (body, expected) in [
            (
                r#"{"max": 1.0, "model": "a", "x": {"model": "b"}, "n": 12345678901234567890123}"#,
                r#"{"model":"new","max":1.0,"x":{"model": "b"},"n":12345678901234567890123}"#,
            ),
            ("{}", r#"{"model":"new"}"#),
        ] {
            let changed = with_model(body.as_bytes(), "new").expect("an object");
            assert_eq!(String::from_utf8(changed).as_deref(), Ok(expected));
        }
        assert_eq!(with_model(b"[1]", "new"), None);
    }
}
