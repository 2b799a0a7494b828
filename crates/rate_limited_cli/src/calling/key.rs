//! The key of the API: from the environment or a file, never from arguments.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use rate_limited::http::Key;

use crate::args::ApiArgs;
use crate::calling::preset::Preset;
use crate::refusal::Refusal;

/// Where the API is if nobody says.
const BASE_URL: &str = "https://api.openai.com/v1";

/// No key is longer, and what is longer is another file.
const KEY_BYTES_MAX: u64 = 16 << 10;

const KEY_VARIABLE: &str = "OPENAI_API_KEY";

/// Who says where the API is if nobody does.
const DEFAULT: &str = "the default";

/// Where the API is, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    pub(crate) value: String,
    /// The option or the variable.
    pub(crate) source: &'static str,
}

impl BaseUrl {
    /// The URL for people, without what may be a secret: user info and query.
    pub(crate) fn shown(&self) -> &str {
        let public = self.value.split(['?', '#']).next().unwrap_or_default();
        if public.contains('@') { "" } else { public }
    }
}

/// Where the API is: as told, as the environment says, or the default: that of the API's description.
///
/// # Errors
/// The API has no address that is the same for all.
pub(crate) fn base_url(args: &ApiArgs, preset: Option<Preset>) -> Result<BaseUrl, Refusal> {
    let told = args.base_url.clone().map(|value| BaseUrl {
        value,
        source: "--base-url",
    });
    let in_environment = |name: &&'static str| {
        let value = variable(name)?;
        let source = *name;
        Some(BaseUrl { value, source })
    };
    // What is meant for another API is not for this one.
    let is_openai = preset.is_none_or(|preset| preset.api().name == "openai");
    let variables = ["RATE_LIMITED_BASE_URL", "OPENAI_BASE_URL"];
    let variables = &variables[..=usize::from(is_openai)];
    let found = told.or_else(|| variables.iter().find_map(in_environment));
    if let Some(found) = found {
        return Ok(found);
    }
    let known = preset.map_or(Some(BASE_URL), |preset| preset.api().base_url.as_deref());
    if let Some(url) = known.filter(|url| !url.contains('{')) {
        return Ok(BaseUrl {
            value: url.to_owned(),
            source: DEFAULT,
        });
    }
    let api = preset.map_or("the API", |preset| &preset.api().title);
    let example = known.unwrap_or("https://api.example.com/v1");
    Err(Refusal::NoBaseUrl(api.to_owned(), example.to_owned()))
}

/// The key; none where a server of one's own may need none.
///
/// # Errors
/// A key that was pointed at and is not there or not usable; no key for an API at its own address.
pub(crate) fn key(
    args: &ApiArgs,
    preset: Option<Preset>,
    base_url: &BaseUrl,
) -> Result<Option<Key>, Refusal> {
    if let Some(path) = &args.key_file {
        return key_in_file(path).map(Some);
    }
    let of_api = match preset {
        Some(preset) => preset.api().key_env.as_deref(),
        None => Some(KEY_VARIABLE),
    };
    let Some(name) = args.key_env.as_deref().or(of_api) else {
        return Ok(None);
    };
    let Some(value) = variable(name) else {
        let needs_one = base_url.source == DEFAULT && !is_local(&base_url.value);
        return match &args.key_env {
            Some(name) => Err(Refusal::NoVariable(name.clone())),
            None if needs_one => Err(Refusal::NoKey {
                url: base_url.value.clone(),
                variable: name.to_owned(),
            }),
            None => Ok(None),
        };
    };
    let bad = |reason| Refusal::BadKey {
        variable: name.to_owned(),
        reason,
    };
    Key::new(value).map(Some).map_err(bad)
}

/// Whether nobody says where the API is, so that it is that of the provider.
pub(crate) fn is_at_default(args: &ApiArgs, preset: Option<Preset>) -> bool {
    let found = base_url(args, preset);
    found.is_ok_and(|url| url.source == DEFAULT && !is_local(&url.value))
}

/// Whether it is a server of this machine, which may need no key.
fn is_local(url: &str) -> bool {
    url.starts_with("http://localhost") || url.starts_with("http://127.0.0.1")
}

fn key_in_file(path: &Path) -> Result<Key, Refusal> {
    let failed = |source| Refusal::KeyFile {
        path: path.to_owned(),
        source,
    };
    let bad = |reason: String| Refusal::BadKeyFile {
        path: path.to_owned(),
        reason,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(KEY_BYTES_MAX + 1).read_to_string(&mut text);
    match read.map_err(failed)? as u64 {
        bytes if bytes > KEY_BYTES_MAX => Err(bad("it is longer than 16 kB".to_owned())),
        _ if text.trim().contains(char::is_whitespace) => {
            Err(bad("there is white space within the key".to_owned()))
        }
        _ => Key::new(text).map_err(|error| bad(error.to_string())),
    }
}

/// An environment variable; an empty one counts as unset. Bytes that are no text become ones that no
/// key may have, so that they are refused where they are used.
fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name)?.to_string_lossy().into_owned();
    (!value.trim().is_empty()).then_some(value)
}
