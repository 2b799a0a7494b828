//! Which redirects are followed, and what is said about the others.

use reqwest::{Method, Url};

use super::head::Head;

/// So many are followed, one after the other.
pub(super) const REDIRECTS_MAX: usize = 10;

/// Where the request goes on to, if it may: to the same origin, and by one of the kinds that keep it as
/// it is (307 and 308; for a GET any that names where to). All others would send the key to a stranger,
/// or turn a POST into a GET.
pub(super) fn next(head: &Head, method: &Method) -> Option<Url> {
    let target = target(head)?;
    (keeps_request(head.status, method) && is_same(&head.url, &target)).then_some(target)
}

fn target(head: &Head) -> Option<Url> {
    head.url.join(head.location.as_deref()?).ok()
}

fn keeps_request(status: u16, method: &Method) -> bool {
    let keeps_a_get = method == Method::GET && matches!(status, 301..=303);
    keeps_a_get || matches!(status, 307 | 308)
}

fn is_same(from: &Url, to: &Url) -> bool {
    from.origin() == to.origin() && to.username().is_empty() && to.password().is_none()
}

/// Why the redirect of this answer was not followed.
pub(super) fn explained(head: &Head, method: &Method) -> String {
    let status = head.status;
    let target = head
        .location
        .as_deref()
        .and_then(|location| head.url.join(location).ok());
    let Some(target) = target else {
        return format!("a {status} that names no usable address");
    };
    let shown = shown(&target);
    if !is_same(&head.url, &target) {
        format!(
            "redirected to {shown}, which is another origin: not followed, so that no key goes there; \
             if it is right, make it the base URL"
        )
    } else if keeps_request(status, method) {
        format!("more than {REDIRECTS_MAX} redirects, the last one to {shown}")
    } else {
        let why = if method == Method::GET {
            "which is not understood"
        } else {
            "which would turn the POST into a GET"
        };
        format!("redirected to {shown} by a {status}, {why}: not followed")
    }
}

/// The address without the parts that may hold a secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Addresses without a host have neither; there is nothing to remove then.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}
