//! What a request is known by in a journal.

use rate_limited::journal::Keyed;
use rate_limited_store::{Digest, Hasher};

/// Turns requests into keys and hashes.
///
/// A call is known by the request's own name, else by what it asks and where: equal ones are told apart
/// by their order. Beside that stands a hash of all that its answer depends on, the API included. Space
/// between the parts of a body does not count.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The API, without secrets.
    api: String,
    /// The path for requests without one.
    endpoint: Option<String>,
}

impl Identity {
    pub(crate) fn new(api: &str, endpoint: Option<&str>) -> Identity {
        Identity {
            api: api.trim_end_matches('/').to_owned(),
            endpoint: endpoint.map(str::to_owned),
        }
    }

    /// What the request of a line is known by.
    pub(crate) fn keyed(
        &self,
        custom_id: Option<&str>,
        url_path: Option<&str>,
        body: &[u8],
    ) -> Keyed {
        // Where neither says it, the path follows from the body.
        let path = url_path.or(self.endpoint.as_deref()).unwrap_or_default();
        let mut hasher = Hasher::default();
        hasher.json(body);
        let body = hasher.finish();
        let key = match custom_id {
            Some(id) => key_of(id),
            None => Digest::of(&[b"content", path.as_bytes(), &body.0]),
        };
        Keyed {
            key,
            request: Digest::of(&[self.api.as_bytes(), path.as_bytes(), &body.0]),
        }
    }
}

/// The key of a request with a name of its own.
pub(crate) fn key_of(custom_id: &str) -> Digest {
    Digest::of(&[b"id", custom_id.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn what_changes_an_answer_changes_the_hash_and_a_name_stays_a_key() {
        let identity = |api| Identity::new(api, Some("/v1/x"));
        let of = |id: Option<&str>, path: Option<&str>, body: &str| {
            identity("http://h/v1").keyed(id, path, body.as_bytes())
        };
        let first = of(Some("a"), None, r#"{"n": 1}"#);
        assert_eq!(first, of(Some("a"), Some("/v1/x"), r#"{"n":1}"#));
        for other in [
            of(Some("a"), None, r#"{"n": 2}"#),
            of(Some("a"), Some("/v1/y"), r#"{"n": 1}"#),
            identity("http://g/v1").keyed(Some("a"), None, br#"{"n": 1}"#),
        ] {
            assert_eq!(other.key, first.key);
            assert_ne!(other.request, first.request);
        }
        let unnamed = of(None, None, r#"{"n": 1}"#);
        assert_eq!(unnamed.request, first.request);
        assert_ne!(unnamed.key, of(None, None, r#"{"n": 2}"#).key);
        let slash = identity("http://h/v1/").keyed(None, None, br#"{"n":1}"#);
        assert_eq!(slash, unnamed);
    }
}
