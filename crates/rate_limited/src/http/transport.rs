//! What breaks below HTTP, and what that means.

use std::env;
use std::error::Error;
use std::io;
use std::time::Duration;

use rate_limited_core::Class;
use reqwest::Url;

use super::head::HEAD_BYTES_MAX;
use super::outgoing::Departure;
use super::secrets::{Secrets, percent_decoded};
use super::text::{one_line, scrub_urls};
use super::{HttpError, Key};

const MESSAGE_CHARS: usize = 500;

/// The errors of the layers below HTTP, told for one origin.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    /// Scheme, host and port.
    pub(super) origin: String,
    /// What to add where a proxy may be the one that failed.
    via: &'static str,
}

const PROXIES: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

/// What the environment says of proxies that nobody else may see: a proxy may echo it in an error.
pub(super) fn proxy_secrets() -> Vec<Key> {
    let urls = PROXIES.iter().filter_map(|name| env::var(name).ok());
    urls.flat_map(|url| secrets_of_url(&url)).collect()
}

/// The password of a URL, as it is written and as it is meant, alone and with its user.
fn secrets_of_url(url: &str) -> Vec<Key> {
    // Without a scheme it is one of HTTP.
    let parsed = Url::parse(url).ok().filter(Url::has_host);
    let url = parsed.or_else(|| Url::parse(&format!("http://{url}")).ok());
    let Some((user, password)) = url
        .as_ref()
        .and_then(|url| Some((url.username(), url.password()?)))
    else {
        return Vec::new();
    };
    let meant = [user, password].map(percent_decoded);
    let forms = [password, &meant[1], &format!("{}:{}", meant[0], meant[1])];
    forms
        .into_iter()
        .filter_map(|form| Key::new(form).ok())
        .collect()
}

impl Transport {
    pub(super) fn new(origin: String, proxy_from_env: bool) -> Transport {
        let proxied = proxy_from_env && PROXIES.iter().any(|name| env::var_os(name).is_some());
        Transport {
            origin,
            via: if proxied {
                ", or to the proxy that the environment names"
            } else {
                ""
            },
        }
    }

    /// What it means that no answer came. Whatever broke before the request left cannot have been
    /// counted by the server; all else may have been.
    pub(super) fn failed(
        &self,
        error: reqwest::Error,
        departure: &Departure,
        secrets: &Secrets,
    ) -> HttpError {
        match self.told_before(&error, departure) {
            Some(told) => finished(told, error, secrets),
            None => self.broken(error, secrets),
        }
    }

    /// What it means that an answer broke off.
    pub(super) fn broken(&self, error: reqwest::Error, secrets: &Secrets) -> HttpError {
        finished(self.told_after(&error), error, secrets).unknown()
    }

    /// What it means that no answer began in time.
    pub(super) fn late(&self, limit: Duration) -> HttpError {
        let origin = &self.origin;
        let what = format!("{origin} did not answer within the first-byte time-out of {limit:?}");
        HttpError::new(Class::Failure, "timeout", what).unknown()
    }

    /// What it means that an answer did not go on.
    pub(super) fn silent(&self, limit: Duration) -> HttpError {
        let origin = &self.origin;
        let what = format!(
            "{origin} fell silent in the middle of its answer, for the idle time-out of {limit:?}"
        );
        HttpError::new(Class::Failure, "timeout", what).unknown()
    }

    /// What it means that an answer came too slowly.
    pub(super) fn slow(&self, min_speed: u32, stretch: Duration) -> HttpError {
        let origin = &self.origin;
        let what = format!(
            "{origin} sent its answer at less than {min_speed} bytes a second over {stretch:?}, the lowest speed"
        );
        HttpError::new(Class::Failure, "timeout", what).unknown()
    }

    /// What it means that an answer has more head than any honest one. Nothing of it is believed.
    pub(super) fn too_large_a_head(&self, status: u16) -> HttpError {
        let (origin, most) = (&self.origin, HEAD_BYTES_MAX >> 10);
        let what = format!("the headers of {origin} (HTTP {status}) are larger than {most} kB");
        HttpError::new(Class::Failure, "bad_answer", what).unknown()
    }

    fn told_before(&self, error: &reqwest::Error, departure: &Departure) -> Option<Told> {
        let origin = &self.origin;
        let code = if error.is_timeout() {
            "timeout"
        } else {
            "connection"
        };
        Some(if error.is_builder() {
            Told::new(
                Class::Permanent,
                "bad_path",
                "the request cannot be sent".into(),
            )
        } else if is_out_of_files(error) {
            let advice = "have fewer calls in flight, or raise `ulimit -n`";
            let what = format!("no file descriptor is left for a connection ({advice})");
            Told::new(Class::NotSent, "connection", what)
        } else if is_bad_certificate(error) {
            let what = format!("the certificate of {origin} is not trusted");
            Told::new(Class::Fatal, "connection", what)
        } else if error.is_connect() {
            let what = format!("failed to connect to {origin}{}", self.via);
            Told::new(Class::NotSent, code, what)
        } else if !departure.may_have_left() {
            let what = format!("the connection to {origin} broke before the request left");
            Told::new(Class::NotSent, code, what)
        } else if is_unprocessed(error) {
            let what = format!("{origin} refused the request before it looked at it");
            Told::new(Class::NotSent, code, what)
        } else {
            return None;
        })
    }

    fn told_after(&self, error: &reqwest::Error) -> Told {
        let origin = &self.origin;
        let (code, what) = if error.is_timeout() {
            ("timeout", format!("{origin} fell silent"))
        } else if is_bad_data(error) {
            (
                "bad_answer",
                format!("the answer of {origin} cannot be decoded"),
            )
        } else {
            (
                "connection",
                format!("the exchange with {origin} broke off"),
            )
        };
        Told::new(Class::Failure, code, what)
    }
}

fn finished(told: Told, error: reqwest::Error, secrets: &Secrets) -> HttpError {
    let Told { class, code, what } = told;
    // The URL of the request may hold a secret in its query.
    let error = error.without_url();
    let cause = secrets.mask_text(&innermost(&error).to_string());
    let message = one_line(&format!("{what}: {}", scrub_urls(&cause)), MESSAGE_CHARS);
    let out_of_files = is_out_of_files(&error);
    HttpError::new(class, code, message)
        .with_out_of_files(out_of_files)
        .with_source(error)
}

struct Told {
    class: Class,
    code: &'static str,
    what: String,
}

impl Told {
    fn new(class: Class, code: &'static str, what: String) -> Told {
        Told { class, code, what }
    }
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}

/// The error and all below it. An I/O error hides the one inside it from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| below(error))
}

fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inside) => Some(inside),
        None => error.source(),
    }
}

fn is_out_of_files(error: &reqwest::Error) -> bool {
    // EMFILE and ENFILE, and WSAEMFILE on Windows.
    let codes = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    codes
        .into_iter()
        .any(|code| matches!(code, 23 | 24 | 10_024))
}

/// Whether a server of HTTP/2 says that it did nothing with the request: RFC 9113, section 8.7.
fn is_unprocessed(error: &reqwest::Error) -> bool {
    let mut causes = causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>());
    causes.any(|cause| {
        let reason = cause.reason();
        let refused = cause.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
        let leaving = cause.is_go_away() && reason == Some(h2::Reason::NO_ERROR);
        cause.is_remote() && (refused || leaving)
    })
}

fn is_bad_certificate(error: &reqwest::Error) -> bool {
    let mut causes = causes(error).filter_map(|cause| cause.downcast_ref::<rustls::Error>());
    causes.any(|cause| matches!(cause, rustls::Error::InvalidCertificate(_)))
}

fn is_bad_data(error: &reqwest::Error) -> bool {
    let mut kinds = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds.any(|cause| {
        matches!(
            cause.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_of_proxies() {
        let all = |url| -> Vec<String> {
            let keys = secrets_of_url(url);
            keys.iter().map(|key| key.reveal().to_owned()).collect()
        };
        let both = ["p%40ss", "p@ss", "me:p@ss"];
        assert_eq!(all("http://me:p%40ss@proxy:8080"), both);
        assert_eq!(all("me:p%40ss@proxy:8080"), both);
        assert_eq!(all("http://:p%zz@proxy"), ["p%zz", "p%zz", ":p%zz"]);
        assert!(all("http://me@proxy").is_empty() && all("proxy:80").is_empty());
        assert!(all("").is_empty() && all("::").is_empty());
    }
}
