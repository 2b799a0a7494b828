//! What can be wrong with a description, and with its name.

use std::path::PathBuf;

/// Why a description of an API cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// The file cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML, or has a field or a value that is not known.
    #[error("{text}")]
    Toml {
        /// The place, the field and what is expected there.
        text: String,
    },
    /// A field has a value that contradicts another one, or makes no sense.
    #[error("{field} is {value}: {next}")]
    Value {
        /// The field, with the names of what it is in.
        field: String,
        /// Its value.
        value: String,
        /// What to do.
        next: String,
    },
}

/// No API has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no API is called {name:?}: {}", self.next())]
#[non_exhaustive]
pub struct UnknownApi {
    /// The name.
    pub name: String,
    /// Names of APIs that are near, the nearest first; perhaps none.
    pub near: Vec<&'static str>,
}

impl UnknownApi {
    fn next(&self) -> String {
        if self.near.is_empty() {
            return "list the known ones, describe it in a TOML file, or use \"generic\""
                .to_owned();
        }
        let names: Vec<String> = self.near.iter().map(|name| format!("{name:?}")).collect();
        format!("did you mean {}?", names.join(" or "))
    }
}
