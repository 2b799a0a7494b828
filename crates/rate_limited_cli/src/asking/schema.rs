//! The JSON Schema that answers must fit.

use std::fmt;
use std::path::Path;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::refusal::Refusal;
use crate::values::text::shortened;
use crate::writing::answer_text;

/// The most characters of what is wrong with an answer.
const FAULT_CHARS_MAX: usize = 1_000;

/// A schema that is ready for use.
pub(crate) struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

impl Schema {
    /// Reads a schema of any draft since the fourth; without `$schema` it is of 2020-12. References are
    /// looked for beside it.
    ///
    /// # Errors
    /// The file cannot be read, or is no schema.
    pub(crate) fn read(path: &Path) -> Result<Schema, Refusal> {
        let refused = |why: String| Refusal::Schema {
            path: path.to_owned(),
            why,
        };
        let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let schema: Value =
            serde_json::from_str(&text).map_err(|error| refused(format!("no JSON: {error}")))?;
        let whole = std::path::absolute(path).map_err(|error| refused(error.to_string()))?;
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        let name = whole.to_string_lossy();
        let (mut schemas, name) = (Schemas::new(), &*name);
        let added = compiler.add_resource(name, schema);
        let index = match added {
            Ok(()) => compiler.compile(name, &mut schemas),
            Err(error) => Err(error),
        };
        let index = index.map_err(|error| refused(in_words(&format!("{error:#}"))))?;
        Ok(Schema { schemas, index })
    }

    /// What is wrong with the body of an answer; `None`: all its texts are JSON that fits.
    pub(crate) fn fault(&self, body: &[u8]) -> Option<String> {
        answer_text::all(body)
            .iter()
            .find_map(|text| self.fault_of(text))
    }

    fn fault_of(&self, text: &str) -> Option<String> {
        let value: Value = match serde_json::from_str(unfenced(text)) {
            Ok(value) => value,
            Err(error) => return Some(format!("the answer is no JSON: {error}")),
        };
        let error = self.schemas.validate(&value, self.index).err()?;
        // The first line names the file.
        let told = error.to_string();
        let told = told
            .split_once('\n')
            .map_or(told.as_str(), |(_, told)| told);
        Some(format!(
            "the answer does not fit the schema: {}",
            on_one_line(told)
        ))
    }
}

/// A text without the fence of a code block around it, as models like to write JSON.
pub(crate) fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix("```")
        .and_then(|text| text.strip_suffix("```"));
    let inner = inner.and_then(|inner| {
        let (language, inner) = inner.split_once('\n')?;
        let is_word = language.trim().chars().all(char::is_alphanumeric);
        is_word.then(|| inner.trim())
    });
    inner.unwrap_or(text)
}

/// What is wrong with a schema: of one that its own schema rejects, where.
fn in_words(error: &str) -> String {
    match error.split_once('\n') {
        Some((_, places)) => format!("it is no schema: {}", on_one_line(places)),
        None => on_one_line(error),
    }
}

fn on_one_line(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches("- "));
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    shortened(&lines.join("; "), FAULT_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Schema, unfenced};

    fn schema(text: &str) -> Result<Schema, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a schema.json");
        std::fs::write(&path, text).expect("room");
        Schema::read(&path).map_err(|error| error.to_string())
    }

    fn chat(texts: &[&str]) -> Vec<u8> {
        let choice = |text: &&str| json!({"message": {"content": text}});
        let choices: Vec<_> = texts.iter().map(choice).collect();
        json!({"choices": choices}).to_string().into_bytes()
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let schema = schema(
            r#"{"type": "object", "required": ["mood"], "properties": {"mood": {"enum": ["good", "bad"]}}}"#,
        );
        let schema = schema.expect("a schema");
        let good = r#"{"mood": "good"}"#;
        for (texts, told) in [
            (&[good][..], None),
            (&["```json\n{\"mood\": \"bad\"}\n```\n"], None),
            (&[good, good], None),
            (
                &["It is good"],
                Some("the answer is no JSON: expected value"),
            ),
            (&[""], Some("the answer is no JSON: EOF")),
            (
                &["{}"],
                Some("the answer does not fit the schema: at '': missing properties 'mood'"),
            ),
            (
                &[r#"{"mood": "meh"}"#],
                Some("the schema: at '/mood': value must be one of 'good', 'bad'"),
            ),
            (&[good, "{}"], Some("missing properties 'mood'")),
        ] {
            let fault = schema.fault(&chat(texts));
            let fits = match (&fault, told) {
                (Some(fault), Some(told)) => fault.contains(told),
                (fault, told) => fault.is_none() && told.is_none(),
            };
            assert!(fits, "{texts:?}: {fault:?}");
        }
    }

    #[test]
    fn what_is_no_schema_is_told() {
        for (text, told) in [
            ("{", "no JSON: EOF"),
            (
                r#"{"type": "objct"}"#,
                "used: it is no schema: at '/type': ",
            ),
            (r#"{"$ref": "none.json"}"#, "none.json"),
            (r#"{"$ref": "https://example.com/a.json"}"#, "example.com"),
        ] {
            let fault = schema(text).expect_err(text);
            assert!(
                fault.contains("a schema.json") && fault.contains(told),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_schema_may_refer_to_one_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("mood.json", r#"{"enum": ["good"]}"#).expect("room");
        write(
            "a.json",
            r#"{"properties": {"mood": {"$ref": "mood.json"}}}"#,
        )
        .expect("room");
        let schema = Schema::read(&folder.path().join("a.json")).expect("a schema");
        assert_eq!(schema.fault(&chat(&[r#"{"mood": "good"}"#])), None);
        assert!(schema.fault(&chat(&[r#"{"mood": "bad"}"#])).is_some());
    }

    #[test]
    fn fences_are_taken_off() {
        for (text, inner) in [
            ("```json\n1\n```", "1"),
            (" ```\n1\n```\n", "1"),
            ("1", "1"),
            ("```1```", "```1```"),
            ("```json\n1", "```json\n1"),
        ] {
            assert_eq!(unfenced(text), inner);
        }
    }
}
