//! A JSON body, read no further than it is asked for.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::source::{Path, Step};

/// The fields of a JSON object, each as its text: one pass over the body, nothing copied.
#[derive(Debug, Default)]
pub(crate) struct Body<'a> {
    fields: Fields<'a>,
    /// The objects within it that were looked into: places lead into few of them, and often.
    inner: RefCell<Vec<(&'a RawValue, Rc<Fields<'a>>)>>,
}

/// As many objects within a body are kept as they were read.
const INNER_MAX: usize = 8;

impl<'a> Body<'a> {
    /// The body, or why it is none. Of a list, the first element counts.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Body<'a>, String> {
        let text = str::from_utf8(body).map_err(|error| error.to_string())?;
        let read = |text| serde_json::from_str::<Fields<'a>>(text);
        let fields = match text.trim_start().chars().next() {
            None => return Err("it is empty".into()),
            Some('{') => read(text),
            Some('[') => serde_json::from_str::<First<'a>>(text)
                .map(|First(first)| first.map(fields_of).unwrap_or_default()),
            Some('<') => return Err("it seems to be HTML".into()),
            Some(_) => return Err("it is no JSON object".into()),
        };
        let fields = fields.map_err(|error| error.to_string())?;
        let inner = RefCell::default();
        Ok(Body { fields, inner })
    }

    /// Shows every value at the path to `visit`.
    pub(crate) fn each(&self, path: &Path, visit: &mut dyn FnMut(&'a RawValue)) {
        if let Some((Step::Key(key), rest)) = path.steps.split_first()
            && let Some(value) = self.fields.get(key)
        {
            self.walk(value, rest, visit);
        }
    }

    fn walk(&self, value: &'a RawValue, steps: &[Step], visit: &mut dyn FnMut(&'a RawValue)) {
        match steps.split_first() {
            None => visit(value),
            Some((Step::Key(key), rest)) => {
                if let Some(value) = self.inner(value).get(key) {
                    self.walk(value, rest, visit);
                }
            }
            Some((Step::Each, rest)) => {
                let items: Vec<&'a RawValue> =
                    serde_json::from_str(value.get()).unwrap_or_default();
                for item in items {
                    self.walk(item, rest, visit);
                }
            }
        }
    }

    /// The fields of an object within the body.
    fn inner(&self, value: &'a RawValue) -> Rc<Fields<'a>> {
        let mut inner = self.inner.borrow_mut();
        if let Some((_, known)) = inner.iter().find(|(known, _)| std::ptr::eq(*known, value)) {
            return Rc::clone(known);
        }
        let fields = Rc::new(fields_of(value));
        if inner.len() < INNER_MAX {
            inner.push((value, Rc::clone(&fields)));
        }
        fields
    }

    /// The first value at the path.
    pub(crate) fn first(&self, path: &Path) -> Option<&'a RawValue> {
        let mut first = None;
        self.each(path, &mut |value| first = first.or(Some(value)));
        first
    }
}

/// The text of a string, a number, `true` or `false`.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(json)
            .ok()
            .map(|text| text.0),
        b'{' | b'[' | b'n' => None,
        _ => Some(json.into()),
    }
}

/// Whether there is something: not `null`, `false`, or an empty string, object or list.
pub(crate) fn is_something(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "\"\"" | "{}" | "[]")
}

fn fields_of(value: &RawValue) -> Fields<'_> {
    let json = value.get();
    let object = json.starts_with('{');
    let fields = object.then(|| serde_json::from_str(json).ok()).flatten();
    fields.unwrap_or_default()
}

#[derive(Debug, Default)]
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The value of a field; of several with one name, the last.
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        let field = self.0.iter().rev().find(|(name, _)| name == key);
        field.map(|(_, value)| *value)
    }
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The first element of a list.
struct First<'a>(Option<&'a RawValue>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllFields;

        impl<'de> Visitor<'de> for AllFields {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(AllFields)
    }
}

impl<'de> Deserialize<'de> for First<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstItem;

        impl<'de> Visitor<'de> for FirstItem {
            type Value = First<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First<'de>, A::Error> {
                let first = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(FirstItem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, path: &str, want: &[&str]) {
        let body = Body::parse(body.as_bytes()).expect("a body");
        let mut found = Vec::new();
        body.each(&path.parse().expect("a path"), &mut |value| {
            found.push(value.get());
        });
        assert_eq!(found, want, "{path}");
    }

    #[test]
    fn paths_lead_to_values() {
        check(r#"{"a":{"b":1}}"#, "a.b", &["1"]);
        check(r#"{"a":{"b":1}}"#, "a.c", &[]);
        check(r#"{"a":7}"#, "a.b", &[]);
        check(
            r#"{"a":[{"b":1},{},{"b":[2,3]}]}"#,
            "a[].b",
            &["1", "[2,3]"],
        );
        check(r#"{"a":[[1],[2]]}"#, "a[][]", &["1", "2"]);
        check(r#"[{"a":1},{"a":2}]"#, "a", &["1"]);
        check(r#"{"a":1,"a":2}"#, "a", &["2"]);
        check(r#"{"\u0061":"x"}"#, "a", &["\"x\""]);
    }

    #[test]
    fn what_is_no_object_is_told() {
        for (body, why) in [
            (&b""[..], "it is empty"),
            (b"<html>", "it seems to be HTML"),
            (b"null", "it is no JSON object"),
            (b"\xff", "invalid utf-8"),
            (b"{\"a\":", "EOF while parsing"),
        ] {
            let told = Body::parse(body).map(|_| ()).unwrap_err();
            assert!(told.starts_with(why), "{told}");
        }
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Body::parse(deep.as_bytes()).is_ok());
    }
}
