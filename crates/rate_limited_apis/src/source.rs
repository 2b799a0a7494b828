//! Where in an answer a value is found.

use std::fmt;
use std::str::FromStr;

use crate::lenient::from_text;

/// Where in an answer a value is found: `header:NAME`, a path in the JSON body, or `count:PATH`, how many
/// elements are there.
///
/// A path is made of names with dots between; `[]` behind a name means each element of a list. If the
/// body is a list, its first element is looked at.
///
/// ```
/// use rate_limited_apis::Source;
///
/// let source: Source = "error.details[].retryDelay".parse()?;
/// assert!(matches!(source, Source::Body(_)));
/// let source: Source = "header:Retry-After".parse()?;
/// assert_eq!(source, Source::Header("retry-after".into()));
/// assert_eq!(source.to_string(), "header:retry-after");
/// assert!("error..code".parse::<Source>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A header, by its name in lower case.
    Header(String),
    /// A value in the JSON body.
    Body(Path),
    /// The number of values in the JSON body.
    Count(Path),
}

/// A path in a JSON body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    text: String,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// The field of this name.
    Key(String),
    /// Each element of a list.
    Each,
}

impl Source {
    /// The field at the top of the body that it is in.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Source::Header(_) => None,
            Source::Body(path) | Source::Count(path) => path.field(),
        }
    }
}

impl Path {
    /// The field at the top of the body.
    pub(crate) fn field(&self) -> Option<&str> {
        match self.steps.first()? {
            Step::Key(key) => Some(key),
            Step::Each => None,
        }
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Path, String> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let name = part.trim_end_matches("[]");
            if name.is_empty() || name.contains(['[', ']', ':', ' ']) {
                return Err(format!(
                    "{text:?} is not a path: write names with dots between, [] behind a list, \
                     as in \"error.details[].retryDelay\""
                ));
            }
            steps.push(Step::Key(name.to_owned()));
            let lists = (part.len() - name.len()) / 2;
            steps.extend(std::iter::repeat_n(Step::Each, lists));
        }
        let text = text.to_owned();
        Ok(Path { text, steps })
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        if let Some(name) = text.strip_prefix("header:") {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            return if !name.is_empty() && name.bytes().all(token) {
                Ok(Source::Header(name.to_ascii_lowercase()))
            } else {
                Err(format!(
                    "{name:?} is not the name of a header: write for example \"header:retry-after\""
                ))
            };
        }
        match text.strip_prefix("count:") {
            Some(path) => path.parse().map(Source::Count),
            None => text.parse().map(Source::Body),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Header(name) => write!(f, "header:{name}"),
            Source::Body(path) => path.fmt(f),
            Source::Count(path) => write!(f, "count:{path}"),
        }
    }
}

from_text!(Path);
from_text!(Source);
