//! Headers that the command line adds to every request.

use std::str::FromStr;

use rate_limited::http::Api;

use crate::refusal::Refusal;
use crate::values::text::quoted;

/// A header, such as `Notion-Version: 2026-03-11`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Parts of names whose values are most often keys, which others see in a list of processes.
const SECRET: &[&str] = &["authorization", "cookie", "key", "token", "secret", "auth"];

/// What the client always sends: it names the client.
const OWN: &str = "user-agent";

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Header, String> {
        let Some((name, value)) = text.split_once(':') else {
            return Err(format!(
                "{} is no header: give a name, a colon and a value, as in \"User-Agent: me@example.org\"",
                quoted(text)
            ));
        };
        let (name, value) = (name.trim(), value.trim());
        let lower = name.to_ascii_lowercase();
        // The value is not shown: it may be what it seems to be.
        if SECRET.iter().any(|part| lower.contains(part)) {
            return Err(format!(
                "{} seems to carry a key, and keys are never taken from arguments: use --key-env or --key-file",
                quoted(name)
            ));
        }
        if name.is_empty() || value.is_empty() {
            return Err(format!("{} has no name or no value", quoted(text)));
        }
        Ok(Header {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Whether all headers are there for which the API asks, and whose values it cannot know.
///
/// # Errors
/// One is missing.
pub(crate) fn check(api: &Api, told: &[Header]) -> Result<(), Refusal> {
    let is_told = |name: &str| told.iter().any(|it| it.name.eq_ignore_ascii_case(name));
    let mut missing = api.headers.iter().filter(|asked| {
        let is_known = asked.value.is_some() || asked.name.eq_ignore_ascii_case(OWN);
        !is_known && !is_told(&asked.name)
    });
    match missing.next() {
        None => Ok(()),
        Some(asked) => Err(Refusal::NoHeader {
            api: api.title.clone(),
            name: asked.name.clone(),
            why: asked.why.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use rate_limited::http::Api;

    use super::{Header, check};

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let header: Header = "User-Agent:  me (mailto:me@example.org) ".parse().unwrap();
        let (name, value) = (header.name.as_str(), header.value.as_str());
        assert_eq!((name, value), ("User-Agent", "me (mailto:me@example.org)"));
        for text in ["User-Agent", ": x", "X-Project:", ""] {
            assert!(text.parse::<Header>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_header_with_a_key_is_refused_and_not_shown() {
        for name in ["Authorization", "x-api-key", "Cookie", "X-Auth-Token"] {
            let error = format!("{name}: CANARY").parse::<Header>().unwrap_err();
            assert!(
                error.contains("--key-file") && !error.contains("CANARY"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_the_api_asks_for_must_be_there() {
        let notion = Api::named("notion").expect("built in");
        let version: Header = "notion-version: 2026-03-11".parse().unwrap();
        let error = check(notion, &[]).unwrap_err().to_string();
        assert!(error.contains("--header \"Notion-Version: …\""), "{error}");
        assert!(check(notion, &[version]).is_ok());
        for name in ["anthropic", "github", "openai"] {
            assert!(
                check(Api::named(name).expect("built in"), &[]).is_ok(),
                "{name}"
            );
        }
    }
}
