//! Texts with places for values: `Summarise: {{text}}`.

use std::borrow::Cow;

use crate::values::text::quoted;

/// A text with places.
///
/// `{{name}}` stands for the value of a column, with or without spaces inside the braces. A name in quotes
/// stands for itself: `{{"{{"}}` is two braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
}

const OPENS: &str = "{{";
const CLOSES: &str = "}}";

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Braces that open and never close, or with nothing between them; in words, with the place.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPENS) {
            let at = text.len() - after.len() - OPENS.len();
            let place = || format!("the {{{{ at character {}", text[..at].chars().count() + 1);
            let (part, behind) = placed(after).ok_or_else(|| {
                format!(
                    "{} is never closed: write {{{{column}}}}, or {{{{\"{{{{\"}}}} for two braces",
                    place()
                )
            })?;
            if part == Part::Column(String::new()) {
                return Err(format!("{} has no name: write {{{{column}}}}", place()));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(part);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Template { parts })
    }

    /// The columns that it names, in its order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with the values in their places.
    ///
    /// # Errors
    /// What `value` says of a column.
    pub(crate) fn fill<'v, E>(
        &self,
        mut value: impl FnMut(&str) -> Result<Cow<'v, str>, E>,
    ) -> Result<String, E> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Column(name) => text.push_str(&value(name)?),
            }
        }
        Ok(text)
    }
}

/// What stands between braces that are open, and what is behind them.
fn placed(after: &str) -> Option<(Part, &str)> {
    if let Some(inner) = after.trim_start().strip_prefix('"')
        && let Some((text, behind)) = inner.split_once('"')
        && let Some(behind) = behind.trim_start().strip_prefix(CLOSES)
    {
        return Some((Part::Text(text.to_owned()), behind));
    }
    let (name, behind) = after.split_once(CLOSES)?;
    Some((Part::Column(name.trim().to_owned()), behind))
}

/// The text of an option: itself, or after an `@` that of a file.
///
/// # Errors
/// The file cannot be read, or is no text; in words.
pub(crate) fn text_of(option: &str, told: &str) -> Result<String, String> {
    let Some(path) = told.strip_prefix('@') else {
        return Ok(told.to_owned());
    };
    std::fs::read_to_string(path).map_err(|error| {
        format!(
            "failed to read the file {} of {option}: {error}; name another file behind the @",
            quoted(path)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::Template;

    fn filled(text: &str) -> String {
        let template = Template::parse(text).expect("a template");
        let fill = |name: &str| Ok::<_, ()>(format!("<{name}>").into());
        template.fill(fill).expect("no error")
    }

    #[test]
    fn values_take_their_places() {
        for (text, expected) in [
            ("", ""),
            ("no column", "no column"),
            ("{{a}}", "<a>"),
            ("x {{ a b }} y{{c}}z", "x <a b> y<c>z"),
            ("{\"json\": {{a}}}", "{\"json\": <a>}"),
            ("{{\"{{\"}}a}}", "{{a}}"),
            ("é{{é}}é", "é<é>é"),
            ("{{{a}}}", "<{a>}"),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
        let template = Template::parse("{{b}} {{a}} {{b}}").expect("a template");
        assert_eq!(template.columns().collect::<Vec<_>>(), ["b", "a", "b"]);
    }

    #[test]
    fn what_is_open_is_told_with_its_place() {
        let told = |text| Template::parse(text).expect_err(text);
        assert!(told("é {{a").starts_with("the {{ at character 3 is never closed"));
        assert!(told("a {{ }}").starts_with("the {{ at character 3 has no name"));
    }
}
