//! What must hold in an answer for a rule to apply.

use serde::Deserialize;

use crate::answer::{Found, View};
use crate::lenient::one_or_many;
use crate::parse::number;
use crate::source::Source;

/// A condition on the values at one or several sources. It has exactly one of the tests.
///
/// Texts are compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Condition {
    /// Where to look.
    #[serde(deserialize_with = "one_or_many")]
    pub at: Vec<Source>,
    /// Some value is one of these.
    #[serde(default, deserialize_with = "one_or_many")]
    pub is: Vec<String>,
    /// No value is one of these; also where there is no value.
    #[serde(default, deserialize_with = "one_or_many")]
    pub not: Vec<String>,
    /// Some value contains one of these.
    #[serde(default, deserialize_with = "one_or_many")]
    pub has: Vec<String>,
    /// Whether there is a value at all; `null`, `false` and empty ones are none.
    pub present: Option<bool>,
    /// Whether there is a value at all, an empty one included; only `null` is none.
    pub exists: Option<bool>,
    /// In some text, the number behind the first word is larger than the one behind the second.
    pub exceeds: Option<(String, String)>,
}

impl Condition {
    /// How many tests it has: one, if it is sound.
    pub(crate) fn tests(&self) -> usize {
        let lists = [&self.is, &self.not, &self.has];
        lists.iter().filter(|list| !list.is_empty()).count()
            + usize::from(self.present.is_some())
            + usize::from(self.exists.is_some())
            + usize::from(self.exceeds.is_some())
    }

    pub(crate) fn holds(&self, view: &View<'_>) -> bool {
        if let Some(present) = self.present {
            return present == self.any(view, &|found| found.is_something());
        }
        if let Some(exists) = self.exists {
            return exists == self.any(view, &|found| found.is_there());
        }
        if let Some((larger, smaller)) = &self.exceeds {
            return self.any_text(view, &|text| {
                let behind = |word: &str| number_behind(text, word);
                matches!((behind(larger), behind(smaller)), (Some(a), Some(b)) if a > b)
            });
        }
        let among =
            |list: &[String], text: &str| list.iter().any(|item| item.eq_ignore_ascii_case(text));
        if !self.not.is_empty() {
            return !self.any_text(view, &|text| among(&self.not, text));
        }
        self.any_text(view, &|text| {
            let contains = |part: &String| text.contains(&part.to_ascii_lowercase());
            among(&self.is, text) || self.has.iter().any(contains)
        })
    }

    fn any(&self, view: &View<'_>, test: &dyn Fn(&Found<'_>) -> bool) -> bool {
        let mut any = false;
        for source in &self.at {
            view.each(source, &mut |found| any |= test(&found));
        }
        any
    }

    /// Whether a text passes the test, in lower case.
    fn any_text(&self, view: &View<'_>, test: &dyn Fn(&str) -> bool) -> bool {
        self.any(view, &|found| {
            let text = found.text().map(|text| text.trim().to_ascii_lowercase());
            text.is_some_and(|text| test(&text))
        })
    }
}

/// Whether all conditions hold.
pub(crate) fn all_hold(conditions: &[Condition], view: &View<'_>) -> bool {
    conditions.iter().all(|condition| condition.holds(view))
}

/// The number behind a word: `limit: 30,000` and `limit 5` have one. All in lower case.
fn number_behind(text: &str, word: &str) -> Option<rate_limited_core::Amount> {
    text.match_indices(&word.to_ascii_lowercase())
        .find_map(|(at, word)| {
            let rest = text[at + word.len()..].trim_start_matches([' ', ':']);
            let end = rest.find(|char: char| !matches!(char, '0'..='9' | ',' | '.'));
            number(rest[..end.unwrap_or(rest.len())].trim_end_matches([',', '.']))
        })
}
