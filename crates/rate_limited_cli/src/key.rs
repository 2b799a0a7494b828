//! The key of the API: from the environment or a file, never from arguments.

use std::env;
use std::fs;
use std::path::Path;

use rate_limited::http::Key;

use crate::args::ApiArgs;
use crate::refusal::Refusal;

/// Where the API is if nobody says.
const BASE_URL: &str = "https://api.openai.com/v1";

const KEY_VARIABLE: &str = "OPENAI_API_KEY";

/// Where the API is: as told, as the environment says, or the default.
pub(crate) fn base_url(args: &ApiArgs) -> String {
    let told = args.base_url.clone();
    let variables = ["RATE_LIMITED_BASE_URL", "OPENAI_BASE_URL"];
    told.or_else(|| variables.iter().find_map(|name| variable(name)))
        .unwrap_or_else(|| BASE_URL.to_owned())
}

/// The key; none where a server of one's own may need none.
///
/// # Errors
/// A key that was pointed at and is not there or not usable; no key for the default API.
pub(crate) fn key(args: &ApiArgs, base_url: &str) -> Result<Option<Key>, Refusal> {
    if let Some(path) = &args.key_file {
        return key_in_file(path).map(Some);
    }
    let name = args.key_env.as_deref().unwrap_or(KEY_VARIABLE);
    let Some(value) = variable(name) else {
        return match &args.key_env {
            Some(name) => Err(Refusal::NoVariable(name.clone())),
            None if base_url == BASE_URL => Err(Refusal::NoKey(BASE_URL.to_owned())),
            None => Ok(None),
        };
    };
    let bad = |reason| Refusal::BadKey {
        variable: name.to_owned(),
        reason,
    };
    Key::new(value).map(Some).map_err(bad)
}

fn key_in_file(path: &Path) -> Result<Key, Refusal> {
    let path = path.to_owned();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(Refusal::KeyFile { path, source }),
    };
    Key::new(text).map_err(|reason| Refusal::BadKeyFile { path, reason })
}

/// An environment variable; an empty one counts as unset. Bytes that are no text become ones that no
/// key may have, so that they are refused where they are used.
fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name)?.to_string_lossy().into_owned();
    (!value.trim().is_empty()).then_some(value)
}
