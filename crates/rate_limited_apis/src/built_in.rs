//! The APIs that are compiled in.

use std::sync::OnceLock;

use crate::api::Api;
use crate::error::UnknownApi;

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        /// Names and descriptions, in the order of the list.
        static TEXTS: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../apis/", $name, ".toml"))),)+
        ];
    };
}

built_in! {
    "openai", "azure_openai", "anthropic", "gemini", "mistral", "cohere", "groq", "together", "fireworks",
    "deepseek", "xai", "openrouter", "voyage", "vllm", "llama_cpp", "ollama", "openai_compatible",
    "github", "github_graphql", "stripe", "shopify_graphql", "slack", "notion",
    "generic",
}

/// Each description, once it is asked for.
static CELLS: [OnceLock<Api>; 24] = [const { OnceLock::new() }; 24];
const _: () = assert!(TEXTS.len() == CELLS.len());

/// The names, in the order of the list.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(name, _)| *name)
}

/// The APIs, in the order of the list.
pub(crate) fn all() -> impl Iterator<Item = &'static Api> {
    names().filter_map(find)
}

pub(crate) fn find(name: &str) -> Option<&'static Api> {
    let at = TEXTS.iter().position(|(known, _)| *known == name)?;
    let read = || match Api::from_toml(TEXTS[at].1) {
        Ok(api) => api,
        Err(error) => unreachable!("the description of {name} is tested: {error}"),
    };
    Some(CELLS[at].get_or_init(read))
}

/// The API of this name; `-` and `_` are the same, and so are small and large letters.
pub(crate) fn named(name: &str) -> Result<&'static Api, UnknownApi> {
    let plain = name
        .trim()
        .to_ascii_lowercase()
        .replace(['-', ' ', '.'], "_");
    find(&plain).ok_or_else(|| UnknownApi {
        name: name.to_owned(),
        near: near(&plain),
    })
}

/// Names that differ in a few letters, or of which one begins the other.
fn near(name: &str) -> Vec<&'static str> {
    let mut found: Vec<(usize, &str)> = names()
        .filter_map(|known| {
            let distance = distance(name, known);
            let begins = name.len() >= 3 && (known.contains(name) || name.contains(known));
            (begins || distance <= known.len() / 3).then_some((distance, known))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, known)| known).take(3).collect()
}

/// How many letters to change, add or leave out (Levenshtein). A long name is cut.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for j in 0..b.len() {
            let change = diagonal + usize::from(letter != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_told() {
        for (name, first) in [
            ("opnai", "openai"),
            ("antropic", "anthropic"),
            ("azure", "azure_openai"),
            ("llamacpp", "llama_cpp"),
            ("github-rest", "github"),
        ] {
            assert_eq!(named(name).unwrap_err().near[0], first, "{name}");
        }
        assert!(named("xyzzy").unwrap_err().near.is_empty());
        assert_eq!(named(" Llama-CPP ").unwrap().name, "llama_cpp");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
