//! Paths of an API, and what kind of call each is.

use std::str::FromStr;

use serde::Deserialize;

use crate::lenient::from_text;
use crate::request::Request;

/// A path of an API, or many that have a pattern in common.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Endpoint {
    /// The end of the path, without a query: `/chat/completions`.
    pub path: Pattern,
    /// Its class, to which resources refer.
    pub class: String,
    /// The HTTP method. Default: any.
    pub method: Option<String>,
    /// Whether it writes text, so that the length of its answer counts. Default: no.
    #[serde(default)]
    pub generates: bool,
    /// Whether a call may be sent again although it may have been carried out. Default: yes.
    #[serde(default = "yes")]
    pub repeatable: bool,
}

const fn yes() -> bool {
    true
}

impl Endpoint {
    /// Whether the request goes there.
    pub(crate) fn takes(&self, request: &Request<'_>) -> bool {
        let method = self.method.as_deref().unwrap_or(request.method);
        method.eq_ignore_ascii_case(request.method) && self.path.find(request.path).is_some()
    }
}

/// A pattern for the end of a path: `*` stands for any text, `{model}` for the name of the model, without
/// slashes.
///
/// ```
/// use rate_limited_apis::Pattern;
///
/// let pattern: Pattern = "/models/{model}:generateContent".parse()?;
/// let path = "/v1beta/models/gemini-3-flash:generateContent?alt=sse";
/// assert_eq!(pattern.find(path), Some(Some("gemini-3-flash")));
/// assert_eq!(pattern.find("/v1beta/models"), None);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    before: String,
    wild: Option<Wild>,
    after: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wild {
    Model,
    Any,
}

impl Pattern {
    /// Whether the path ends like this: `Some`, with the name of the model where the pattern has one.
    pub fn find<'p>(&self, path: &'p str) -> Option<Option<&'p str>> {
        let path = path.split('?').next().unwrap_or_default();
        let rest = path.strip_suffix(self.after.as_str())?;
        let Some(wild) = self.wild else {
            return Some(None);
        };
        let at = match wild {
            Wild::Model => rest.rfind(self.before.as_str())?,
            Wild::Any => rest.find(self.before.as_str())?,
        };
        let found = &rest[at + self.before.len()..];
        match wild {
            Wild::Any => Some(None),
            Wild::Model => (!found.is_empty() && !found.contains('/')).then_some(Some(found)),
        }
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let wilds = [("{model}", Wild::Model), ("*", Wild::Any)];
        let found = wilds.into_iter().find(|(mark, _)| text.contains(mark));
        let (before, after) = match found {
            Some((mark, _)) => text.split_once(mark).unwrap_or((text, "")),
            None => ("", text),
        };
        let plain = |part: &str| !part.contains(['*', '{', '}', '?']);
        if !text.starts_with('/') || !plain(before) || !plain(after) {
            return Err(format!(
                "{text:?} is no pattern of a path: begin with a slash, and use one * or {{model}} at most, \
                 as in \"/chat/completions\""
            ));
        }
        Ok(Pattern {
            text: text.to_owned(),
            before: before.to_owned(),
            wild: found.map(|(_, wild)| wild),
            after: after.to_owned(),
        })
    }
}

from_text!(Pattern);

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_find_paths() {
        for (pattern, path, found) in [
            ("/chat/completions", "/v1/chat/completions", Some(None)),
            ("/chat/completions", "/chat/completions?x=1", Some(None)),
            ("/chat/completions", "/chat/completions/1", None),
            (
                "/deployments/{model}/chat",
                "/openai/deployments/gpt/chat",
                Some(Some("gpt")),
            ),
            (
                "/deployments/{model}/chat",
                "/openai/deployments/a/b/chat",
                None,
            ),
            (
                "/deployments/{model}/chat",
                "/openai/deployments//chat",
                None,
            ),
            ("/search/*", "/search/code", Some(None)),
            ("/search/*", "/v3/search/a/b", Some(None)),
            ("/search/*", "/v3/searches", None),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.find(path), found, "{} {path}", pattern.as_str());
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for text in ["chat", "/a*b*", "/{id}/x", "/a?b"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
