//! The model that an answer names, and whether it is the one that was asked for.

use std::sync::LazyLock;

use crate::answer::View;
use crate::api::Api;
use crate::source::Source;

/// Where good answers name their model: as OpenAI-compatible APIs and Anthropic have it, and as Gemini has it.
static PLACES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let paths = ["model", "modelVersion"].map(str::parse);
    let paths = paths.into_iter().filter_map(Result::ok);
    paths.map(Source::Body).collect()
});

/// The name of a router: it stands for no model of its own.
const ROUTER: &str = "auto";

impl Api {
    /// The model that a good answer names; `None`: it names none, or names that say nothing.
    pub(crate) fn answering_model(&self, view: &View<'_>) -> Option<String> {
        if self.renames_models {
            return None;
        }
        let name = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        view.find(PLACES.iter(), name)
    }
}

/// Whether two names are of one model, as far as names can tell.
///
/// The case, and `.`, `_` and `@` for `-`, make no difference. A dated snapshot is the model that it is one of,
/// and `latest` is any snapshot; so is a name behind a prefix such as `openai/` or `models/`, and one with a
/// tag such as `:free` where the other has none. Two snapshots, two tags, or two prefixes are two models. The name
/// of a router, `auto`, asks for no model.
///
/// ```
/// use rate_limited_apis::is_same_model;
///
/// assert!(is_same_model("gpt-4o", "gpt-4o-2024-08-06"));
/// assert!(is_same_model("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"));
/// assert!(is_same_model("openai/gpt-4o", "gpt-4o"));
/// assert!(!is_same_model("gpt-4o", "gpt-4o-mini"));
/// assert!(!is_same_model("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"));
/// ```
pub fn is_same_model(asked: &str, answered: &str) -> bool {
    if asked == answered {
        return true;
    }
    let [asked, answered] = [asked, answered].map(|name| name.trim().to_lowercase());
    let ((asked_prefix, asked), (prefix, answered)) = (split(&asked), split(&answered));
    if asked == ROUTER {
        return true;
    }
    let one_prefix = is_ending(asked_prefix, prefix) || is_ending(prefix, asked_prefix);
    one_prefix && is_same_tagged(asked, answered)
}

/// What stands before the last slash, and the name behind it.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// Whether a path ends with another one, part by part.
fn is_ending(path: &str, end: &str) -> bool {
    let before = path.strip_suffix(end);
    before.is_some_and(|before| end.is_empty() || before.is_empty() || before.ends_with('/'))
}

fn is_same_tagged(asked: &str, answered: &str) -> bool {
    // Of a fine-tuned model the tags are its name, and the one behind `ft:` is what it was made of.
    if let (Some(asked), Some(answered)) = (asked.strip_prefix("ft:"), answered.strip_prefix("ft:"))
    {
        let ((asked, of), (answered, other)) = (tagged(asked), tagged(answered));
        return of == other && Name::of(asked).is_same(&Name::of(answered));
    }
    let ((asked, tag), (answered, other)) = (tagged(asked), tagged(answered));
    let is_open = |tag: &str| tag.is_empty() || tag == LATEST;
    let one_tag = tag == other || is_open(tag) || is_open(other);
    one_tag && Name::of(asked).is_same(&Name::of(answered))
}

fn tagged(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or((name, ""))
}

const LATEST: &str = "latest";

/// A name in its words.
struct Name<'a> {
    /// Those that are numbers, in their order: `gpt-5.4` is not `gpt-4.5`.
    numbers: Vec<&'a str>,
    /// The others, sorted: `claude-4-opus` is `claude-opus-4`.
    words: Vec<&'a str>,
    /// The date or the number of the snapshot; empty: none is named.
    stamp: Vec<&'a str>,
    /// Whether it is whichever is the latest.
    latest: bool,
}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Name<'a> {
        let mut parts: Vec<&str> = name.split(['-', '.', '_', '@']).collect();
        let latest = parts.len() > 1 && parts.last() == Some(&LATEST);
        if latest {
            parts.pop();
        }
        // `claude-opus-4-0` is whichever snapshot of `claude-opus-4` is the first.
        if parts.len() > 1 && parts.last() == Some(&"0") {
            parts.pop();
        }
        let stamp = parts.split_off(parts.len() - stamp_length(&parts));
        let (numbers, mut words): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| is_number(part));
        words.sort_unstable();
        Name {
            numbers,
            words,
            stamp,
            latest,
        }
    }

    fn is_same(&self, other: &Name<'_>) -> bool {
        let one_stamp = self.stamp == other.stamp
            || self.stamp.is_empty()
            || other.stamp.is_empty()
            // Some write a date in one piece.
            || self.stamp.concat() == other.stamp.concat();
        // `gemini-flash-latest` is of whichever version is the latest.
        let newest = self.latest && self.numbers.is_empty();
        one_stamp && self.words == other.words && (newest || self.numbers == other.numbers)
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// How many of the last parts are the stamp of a snapshot: `2024-08-06`, `20241022`, `08-2024`, `05-20`, `0613`
/// or `001`.
fn stamp_length(parts: &[&str]) -> usize {
    // What is left has to be a name.
    let rest = parts.get(1..).unwrap_or_default();
    let lengths = rest
        .iter()
        .rev()
        .map_while(|part| is_number(part).then_some(part.len()));
    let lengths: Vec<_> = lengths.take(3).collect();
    match lengths[..] {
        [2, 2, 4] => 3,
        [2, 2 | 4, ..] | [4, 2, ..] => 2,
        [3 | 4 | 6 | 8, ..] => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::is_same_model;

    #[test]
    fn names_of_one_model() {
        for (asked, answered) in [
            ("gpt-4o", "gpt-4o"),
            ("gpt-4o", "GPT-4o"),
            ("gpt-4o", "gpt-4o-2024-08-06"),
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("gpt-4", "gpt-4-0613"),
            ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
            ("gpt-4-turbo", "gpt-4-turbo-2024-04-09"),
            ("o1", "o1-2024-12-17"),
            ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
            ("claude-opus-4-0", "claude-opus-4-20250514"),
            ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
            ("claude-3-5-sonnet@20241022", "claude-3-5-sonnet-20241022"),
            ("claude-3.5-sonnet", "claude-3-5-sonnet-20241022"),
            (
                "anthropic/claude-opus-4",
                "anthropic/claude-4-opus-20250522",
            ),
            ("openai/gpt-4o", "gpt-4o-2024-08-06"),
            ("gpt-4o", "openai/gpt-4o"),
            ("models/gemini-2.0-flash", "gemini-2.0-flash-001"),
            (
                "models/gemini-2.5-flash",
                "publishers/google/models/gemini-2.5-flash",
            ),
            ("gemini-2.5-flash-preview", "gemini-2.5-flash-preview-05-20"),
            ("gemini-flash-latest", "gemini-2.5-flash"),
            ("command-r", "command-r-08-2024"),
            ("mistral-large-latest", "mistral-large-2411"),
            ("grok-4", "grok-4-0709"),
            ("deepseek-r1:free", "deepseek/deepseek-r1"),
            ("llama3", "llama3:latest"),
            ("llama3:latest", "llama3:8b"),
            (
                "ft:gpt-4o-mini:acme::b1",
                "ft:gpt-4o-mini-2024-07-18:acme::b1",
            ),
            ("openrouter/auto", "anthropic/claude-opus-4"),
        ] {
            assert!(is_same_model(asked, answered), "{asked} and {answered}");
        }
    }

    #[test]
    fn names_of_two_models() {
        for (asked, answered) in [
            ("gpt-4o", "gpt-4o-mini"),
            ("gpt-4o", "gpt-4o-mini-2024-07-18"),
            ("gpt-4o-mini", "gpt-4o"),
            ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
            ("gpt-4", "gpt-4-turbo-2024-04-09"),
            ("gpt-5.4", "gpt-4.5"),
            ("o1", "o1-preview"),
            ("claude-opus-4-1", "claude-opus-4-20250514"),
            ("claude-3-5-sonnet-latest", "claude-3-7-sonnet-20250219"),
            ("gemini-2.0-flash", "gemini-2.5-flash"),
            ("gemini-flash-latest", "gemini-2.5-flash-lite"),
            ("text-embedding-004", "text-embedding-005"),
            ("llama3:8b", "llama3:70b"),
            ("openai/gpt-4o", "azure/gpt-4o"),
            ("xopenai/gpt-4o", "openai/gpt-4o"),
            (
                "ft:gpt-4o-mini:acme::b1",
                "ft:gpt-4o-mini-2024-07-18:acme::b2",
            ),
            ("ft:gpt-4o-mini:acme::b1", "gpt-4o-mini"),
            ("", "gpt-4o"),
            ("gpt", "2024"),
        ] {
            assert!(!is_same_model(asked, answered), "{asked} and {answered}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_names_can_be_compared(asked: String, answered in "[-a-c0-3:/@._]{0,12}") {
            proptest::prop_assert!(is_same_model(&asked, &asked));
            proptest::prop_assert!(is_same_model(&answered, &answered));
            is_same_model(&asked, &answered);
            is_same_model(&answered, &asked);
        }
    }
}
