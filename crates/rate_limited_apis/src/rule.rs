//! The classifier: ordered rules, from the shape of an answer to its class.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::anchor::Anchor;
use crate::answer::View;
use crate::class::Class;
use crate::condition::{Condition, all_hold};
use crate::lenient::{one_or_many, some_duration};
use crate::source::Source;

/// A rule of the classifier: what it applies to, and what that means. The first that applies decides;
/// where none does, the status alone ([`Class::of_status`]).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// The statuses it applies to. Default: all but those of success (200 to 299).
    #[serde(default, deserialize_with = "one_or_many")]
    pub status: Vec<Statuses>,
    /// What must hold, all of it. Default: nothing.
    #[serde(default, deserialize_with = "one_or_many")]
    pub when: Vec<Condition>,
    /// The class.
    pub class: Class,
    /// The resource that the answer speaks of. Default: it does not say.
    pub resource: Option<String>,
    /// How long to wait where the answer does not say. Default: unknown.
    #[serde(default, deserialize_with = "some_duration")]
    pub wait: Option<Duration>,
    /// The calendar by which an exhausted quota comes back: the longer of this and of the answer's own
    /// wait counts. Default: unknown.
    pub until: Option<Anchor>,
    /// What it means and what to do, for people. Default: nothing.
    pub why: Option<String>,
}

impl Rule {
    pub(crate) fn applies(&self, view: &View<'_>) -> bool {
        let status = if self.status.is_empty() {
            !(200..=299).contains(&view.status)
        } else {
            self.status
                .iter()
                .any(|range| range.0.contains(&view.status))
        };
        status && all_hold(&self.when, view)
    }
}

/// A refusal that comes with a status of success, and the status that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Disguise {
    /// What must hold, all of it.
    #[serde(deserialize_with = "one_or_many")]
    pub when: Vec<Condition>,
    /// The status that it stands for; where `status_at` has one, that.
    pub status: u16,
    /// Where the answer tells the status itself (400 to 599). Default: nowhere.
    #[serde(default, deserialize_with = "one_or_many")]
    pub status_at: Vec<Source>,
}

impl Disguise {
    /// The status that the answer stands for, if it is one of these.
    pub(crate) fn status(&self, view: &View<'_>) -> Option<u16> {
        let told = |text: &str| {
            text.trim()
                .parse()
                .ok()
                .filter(|code| (400..=599).contains(code))
        };
        all_hold(&self.when, view).then(|| view.find(&self.status_at, told).unwrap_or(self.status))
    }
}

/// Statuses: one (`429`), a hundred (`"4xx"`), or a range (`"500-599"`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(pub RangeInclusive<u16>);

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Statuses, String> {
        let number = |text: &str| text.trim().parse::<u16>().ok();
        let range = if let Some(hundred) = text.strip_suffix("xx") {
            number(hundred)
                .filter(|hundred| *hundred < 10)
                .map(|hundred| hundred * 100..=hundred * 100 + 99)
        } else if let Some((first, last)) = text.split_once('-') {
            number(first)
                .zip(number(last))
                .map(|(first, last)| first..=last)
        } else {
            number(text).map(|status| status..=status)
        };
        range
            .filter(|range| !range.is_empty())
            .map(Statuses)
            .ok_or_else(|| format!("{text:?} is no status: write 429, \"4xx\" or \"500-599\""))
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Statuses, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status such as 429, \"4xx\" or \"500-599\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Statuses, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Statuses, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
