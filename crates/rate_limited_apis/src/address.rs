//! Which API is at an address.

use std::cmp::Reverse;

use crate::api::Api;
use crate::request::Request;

impl Api {
    /// The built-in API at this URL: that of the same host, and of those the one that knows the path. `None`:
    /// none is there, or it is a server of this machine.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let at = |url| Api::at(url).map(|api| api.name.as_str());
    /// assert_eq!(at("https://api.groq.com/openai/v1/chat/completions"), Some("groq"));
    /// assert_eq!(at("https://api.github.com/graphql"), Some("github_graphql"));
    /// assert_eq!(at("https://mine.openai.azure.com/openai/v1/responses"), Some("azure_openai"));
    /// assert_eq!(at("http://localhost:8000/v1/chat/completions"), None);
    /// ```
    pub fn at(url: &str) -> Option<&'static Api> {
        let (host, path) = parts(url)?;
        let request = Request::post(path, b"");
        // Of two at one host, the one that has more to say of the path.
        let known = |api: &&Api| {
            api.endpoint(&request)
                .map_or(0, |it| it.path.as_str().len())
        };
        Api::built_in()
            .filter(|api| api.is_at(host))
            .min_by_key(|api| Reverse(known(api)))
    }

    fn is_at(&self, host: &str) -> bool {
        let own = self.base_url.as_deref().and_then(parts);
        own.is_some_and(|(own, _)| match own.rsplit_once('}') {
            // What stands in braces is each user's own.
            Some((_, rest)) => host
                .len()
                .checked_sub(rest.len())
                .is_some_and(|at| at > 0 && host[at..].eq_ignore_ascii_case(rest)),
            None => own.eq_ignore_ascii_case(host) && !is_local(own),
        })
    }
}

/// The host of a URL, without its port, and the path.
fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.split_once("://")?.1;
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split(':').next()?;
    host.is_ascii().then_some((host, path))
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::Api;

    #[test]
    fn each_api_is_found_at_its_own_address() {
        for api in Api::built_in() {
            let Some(url) = &api.base_url else { continue };
            let url = url
                .replace("{resource}", "mine")
                .replace("{shop}", "mine")
                .replace("{version}", "2026-01");
            let found = Api::at(&url).map(|api| &*api.name);
            let expected = match &*api.name {
                "llama_cpp" | "ollama" | "vllm" => None,
                // Both are at one host, and the other one has this path.
                "github_graphql" => Some("github"),
                name => Some(name),
            };
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn other_addresses_are_of_nobody() {
        for url in [
            "",
            "nonsense",
            "://",
            "http://",
            "https://example.com/v1",
            "https://evilapi.openai.com/",
            "https://openai.azure.com",
            "https://ä.openai.azure.com/",
            "https://u:p@api.openai.com.evil.com",
        ] {
            assert!(Api::at(url).is_none(), "{url}");
        }
        let found = Api::at("https://user:key@API.openai.com:443/v1/x");
        assert_eq!(found.map(|api| &*api.name), Some("openai"));
    }
}
