//! Parts of resources that only the answers name: which calls take from which.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::Api;
use crate::cost::without_ids;
use crate::request::Request;
use crate::resource::Resource;

/// So many kinds of calls are remembered of each sort.
const KINDS_MAX: usize = 4_096;

/// The longest name of a part, in bytes.
const NAME_MAX: usize = 64;

/// What makes calls alike, where only their answers name the part of a resource that they take from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// The method and the path without ids.
    call: Box<str>,
    /// The method, and of the path its beginning, its end and its length.
    shape: Box<str>,
    /// The method and the beginning of the path.
    beginning: Box<str>,
}

impl Likeness {
    /// That of a request.
    pub fn of(request: &Request<'_>) -> Likeness {
        let method = request.method.to_ascii_uppercase();
        let path = without_ids(request.path);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let first = parts.first().unwrap_or(&"");
        let last = parts.last().unwrap_or(&"");
        Likeness {
            call: format!("{method} {path}").into(),
            shape: format!("{method} {first} {} {last}", parts.len()).into(),
            beginning: format!("{method} {first}").into(),
        }
    }
}

impl Api {
    /// What makes a request like others, where a resource of the API has parts that only answers name.
    ///
    /// ```
    /// use rate_limited_apis::{Api, Likeness, Request};
    ///
    /// let get = |path| Request::new("GET", path, b"");
    /// assert_eq!(Likeness::of(&get("/users/7/repos")), Likeness::of(&get("/users/12/repos?page=2")));
    /// assert_eq!(Api::named("openai")?.likeness(&get("/v1/models")), None);
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn likeness(&self, request: &Request<'_>) -> Option<Likeness> {
        let named = self.resources.iter().any(Resource::names_parts);
        named.then(|| Likeness::of(request))
    }
}

/// The parts of a resource that answers have named, by what the calls were like: what one call has shown is taken for
/// the next one of its path, of its shape, or at least of its beginning.
///
/// ```
/// use rate_limited_apis::{Likeness, NamedParts, Request};
///
/// let get = |path| Likeness::of(&Request::new("GET", path, b""));
/// let mut parts = NamedParts::default();
/// assert_eq!(parts.part(&get("/search/code")), None);
/// assert!(parts.learn(&get("/search/code?q=cat"), "code_search"));
/// assert!(parts.learn(&get("/search/issues"), "search"));
/// assert!(parts.learn(&get("/repos/a/cat/issues/7"), "core"));
///
/// assert_eq!(parts.part(&get("/search/code?q=dog")), Some("code_search"));
/// assert_eq!(parts.part(&get("/repos/b/dog/issues/12")), Some("core"));
/// assert_eq!(parts.part(&get("/user")), None);
/// // It is as it was taken to be: nothing changes for others.
/// assert!(!parts.learn(&get("/repos/c/fox/issues/3"), "core"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct NamedParts {
    calls: BTreeMap<Box<str>, Arc<str>>,
    shapes: BTreeMap<Box<str>, Arc<str>>,
    /// What most calls of a beginning take from, and by how many votes.
    beginnings: BTreeMap<Box<str>, (Arc<str>, u32)>,
}

impl NamedParts {
    /// The part that a call takes from; `None`: nothing is known of calls like it.
    pub fn part(&self, like: &Likeness) -> Option<&str> {
        let known = self.calls.get(&like.call);
        let known = known.or_else(|| self.shapes.get(&like.shape));
        let known = known.or_else(|| Some(&self.beginnings.get(&like.beginning)?.0));
        known.map(|name| &**name)
    }

    /// An answer has named the part that its call took from. Whether other calls may now take from another part than
    /// they were taken to. A name that is none (longer than 64 bytes, or with blanks in it) is not heard.
    pub fn learn(&mut self, like: &Likeness, name: &str) -> bool {
        let sound = (1..=NAME_MAX).contains(&name.len());
        if !sound || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return false;
        }
        let expected = self.part(like) == Some(name);
        let name: Arc<str> = name.into();
        let shape = put(&mut self.shapes, &like.shape, &name);
        let beginning = self.votes(&like.beginning, &name);
        put(&mut self.calls, &like.call, &name);
        !expected || shape || beginning
    }

    /// Of names that differ the one that comes most often is kept (after Boyer and Moore, "MJRTY: A Fast Majority Vote
    /// Algorithm", 1991). Whether it is another one now.
    fn votes(&mut self, beginning: &str, name: &Arc<str>) -> bool {
        let Some((known, votes)) = self.beginnings.get_mut(beginning) else {
            let room = self.beginnings.len() < KINDS_MAX;
            if room {
                self.beginnings
                    .insert(beginning.into(), (Arc::clone(name), 1));
            }
            return room;
        };
        if known == name {
            *votes = votes.saturating_add(1);
        } else if *votes > 0 {
            *votes -= 1;
        } else {
            (*known, *votes) = (Arc::clone(name), 1);
            return true;
        }
        false
    }
}

/// Remembers a name, while there is room. Whether another one was known.
fn put(known: &mut BTreeMap<Box<str>, Arc<str>>, kind: &str, name: &Arc<str>) -> bool {
    match known.get_mut(kind) {
        Some(former) if former == name => false,
        Some(former) => {
            *former = Arc::clone(name);
            true
        }
        None => {
            if known.len() < KINDS_MAX {
                known.insert(kind.into(), Arc::clone(name));
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KINDS_MAX, Likeness, NamedParts};
    use crate::request::Request;

    fn get(path: &str) -> Likeness {
        Likeness::of(&Request::new("get", path, b""))
    }

    #[test]
    fn the_nearest_call_that_is_known_tells() {
        let mut parts = NamedParts::default();
        for (path, name) in [
            ("/repos/a/cat", "core"),
            ("/repos/a/cat/pulls", "core"),
            ("/repos/a/cat/dependency-graph/sbom", "dependency_sbom"),
            ("/search/code", "code_search"),
            ("/search/issues", "search"),
        ] {
            parts.learn(&get(path), name);
        }
        for (path, expected) in [
            // Itself, its shape, and what most of its beginning are.
            ("/search/code?q=x", Some("code_search")),
            (
                "/repos/b/dog/dependency-graph/sbom",
                Some("dependency_sbom"),
            ),
            ("/repos/b/dog/pulls", Some("core")),
            ("/repos/b/dog", Some("core")),
            ("/repos/b/dog/contents/src/main.rs", Some("core")),
            ("/", None),
            ("/users/x", None),
        ] {
            assert_eq!(parts.part(&get(path)), expected, "{path}");
        }
        let post = Likeness::of(&Request::new("POST", "/repos/a/cat", b""));
        assert_eq!(parts.part(&post), None, "another method is another call");
    }

    #[test]
    fn a_beginning_is_of_what_most_of_its_calls_are() {
        let mut parts = NamedParts::default();
        assert!(parts.learn(&get("/x/a/b"), "most"));
        assert!(!parts.learn(&get("/x/a/c"), "most"));
        // A surprise for its own path only.
        assert!(parts.learn(&get("/x/rare"), "rare"));
        assert_eq!(parts.part(&get("/x/a/d/e")), Some("most"));
        for n in 0..3 {
            let path = format!("/x/rare/{}", ["a", "b", "c"][n]);
            parts.learn(&get(&path), "rare");
        }
        assert_eq!(parts.part(&get("/x/y/z/w/v")), Some("rare"));
    }

    #[test]
    fn what_an_answer_names_may_be_anything() {
        let mut parts = NamedParts::default();
        for name in ["", " ", "a b", "\u{1b}[31m", &"x".repeat(65)] {
            assert!(!parts.learn(&get("/a"), name), "{name:?}");
        }
        assert_eq!(parts.part(&get("/a")), None);
        for n in 0..2 * KINDS_MAX {
            // Letters: what has digits is an id.
            let letter = |shift: usize| char::from(b'a' + (n >> shift & 15) as u8);
            let path: String = [0, 4, 8, 12].map(letter).iter().collect();
            parts.learn(&get(&format!("/{path}")), "many");
        }
        assert!(parts.calls.len() <= KINDS_MAX && parts.beginnings.len() <= KINDS_MAX);
    }
}
