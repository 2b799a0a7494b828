//! Where requests go: the base URL, joined with the path of each.

use std::sync::OnceLock;

use reqwest::Url;

/// A base URL that was checked, ready to be joined with paths.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    base: Url,
    /// The path of the base without the slash at its end.
    prefix: String,
    has_version: bool,
    /// The first path, and where it leads: of most lists it is the only one.
    first: OnceLock<(String, Url)>,
}

impl Endpoint {
    /// Checks a base URL. The reason for a refusal shows nothing of it that may be secret.
    pub(super) fn new(base_url: &str) -> Result<Endpoint, String> {
        let base_url = base_url.trim();
        let base = Url::parse(base_url).map_err(|error| reason(base_url, error))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(format!(
                "it must begin with http:// or https://, not with {}:",
                base.scheme()
            ));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err("it must not hold a user name or a password: pass the key apart".into());
        }
        if base.fragment().is_some() {
            return Err("it must not hold a #fragment".into());
        }
        let prefix = base.path().trim_end_matches('/').to_owned();
        let has_version = prefix.split('/').any(is_version);
        Ok(Endpoint {
            base,
            prefix,
            has_version,
            first: OnceLock::new(),
        })
    }

    /// Scheme, host and port: what may be shown.
    pub(super) fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    pub(super) fn needs_tls(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The URL of a path below the base. A version that the base has, as in `https://host/v1`, takes
    /// the place of the one that the path begins with. The query of the base is kept.
    pub(super) fn join(&self, path: &str) -> Result<Url, &'static str> {
        match self.first.get() {
            Some((known, url)) if known == path => Ok(url.clone()),
            Some(_) => self.joined(path),
            None => {
                let url = self.joined(path)?;
                // Where another one was first, that one stays.
                let _ = self.first.set((path.to_owned(), url.clone()));
                Ok(url)
            }
        }
    }

    fn joined(&self, path: &str) -> Result<Url, &'static str> {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        check(path)?;
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = match path.split_once('/') {
            Some((first, rest)) if self.has_version && is_version(first) => rest,
            _ => path,
        };
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.prefix));
        if let Some(query) = query {
            let whole = self.base.query().map(|base| format!("{base}&{query}"));
            url.set_query(Some(whole.as_deref().unwrap_or(query)));
        }
        Ok(url)
    }
}

fn reason(base_url: &str, error: impl std::fmt::Display) -> String {
    if base_url.contains("://") {
        error.to_string()
    } else {
        "it must begin with http:// or https://".into()
    }
}

fn is_version(segment: &str) -> bool {
    let rest = segment.strip_prefix('v').unwrap_or_default();
    rest.starts_with(|char: char| char.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Paths come from data: none may leave the base.
fn check(path: &str) -> Result<(), &'static str> {
    let dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if path.contains("://") || path.starts_with("//") {
        Err("it must be a path such as /v1/chat/completions, not a whole URL")
    } else if path
        .chars()
        .any(|char| char.is_control() || matches!(char, ' ' | '\\' | '#'))
    {
        Err("it has a space, a control character, a backslash or a #")
    } else if path.split('/').any(dots) {
        Err("it has a segment . or ..")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_join(base: &str, path: &str, want: &str) {
        assert_eq!(
            Endpoint::new(base).unwrap().join(path).unwrap().as_str(),
            want
        );
    }

    #[test]
    fn a_path_leads_to_one_place_however_often_it_is_asked() {
        let endpoint = Endpoint::new("http://h/v1?key=1").unwrap();
        for path in ["../c", "/v1/a", "/v1/b?x=1", "../c", "/v1/a", "/v1/b?x=1"] {
            assert_eq!(endpoint.join(path), endpoint.joined(path));
        }
    }

    #[test]
    fn joins() {
        for base in [
            "http://h",
            "http://h/",
            "http://h/v1",
            "http://h/v1/",
            " http://h/v1// ",
        ] {
            check_join(base, "/v1/chat/completions", "http://h/v1/chat/completions");
        }
        check_join(
            "http://h/v1",
            "/chat/completions",
            "http://h/v1/chat/completions",
        );
        check_join("http://h/v1", "chat", "http://h/v1/chat");
        check_join("http://h/api/v4", "/v1/chat", "http://h/api/v4/chat");
        check_join(
            "https://h/v1beta/openai/",
            "/v1/chat",
            "https://h/v1beta/openai/chat",
        );
        check_join("http://h/openai", "/v1/chat", "http://h/openai/v1/chat");
        check_join(
            "http://h/d?api-version=2",
            "/chat",
            "http://h/d/chat?api-version=2",
        );
        check_join("http://h/d?a=1", "/chat?b=2", "http://h/d/chat?a=1&b=2");
        check_join("http://h/vendor", "/v1/chat", "http://h/vendor/v1/chat");
    }

    #[test]
    fn bad_bases_say_why_without_secrets() {
        for base in [
            "",
            "host",
            "localhost:80",
            "ftp://h",
            "http://",
            "http://u:CANARY@h",
            "http://h#f",
            "//h",
        ] {
            let reason = Endpoint::new(base).unwrap_err();
            assert!(!reason.contains("CANARY"), "{reason}");
        }
    }

    #[test]
    fn paths_cannot_leave_the_base() {
        let endpoint = Endpoint::new("http://h/v1").unwrap();
        for path in [
            "http://evil/x",
            "//evil/x",
            "/../x",
            "/%2e%2E/x",
            "/a/./b",
            "/a b",
            "/a\\b",
            "/a#b",
            "/\r\n",
        ] {
            assert!(endpoint.join(path).is_err(), "{path}");
        }
        assert_eq!(
            endpoint.join("@evil").unwrap().as_str(),
            "http://h/v1/@evil"
        );
    }
}
