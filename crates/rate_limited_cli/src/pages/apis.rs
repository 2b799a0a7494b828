//! `rate-limited apis`: which APIs are known, and what is known of one.

use rate_limited::http::Api;

use crate::args::ApisArgs;
use crate::calling::preset::Preset;
use crate::exit::Exit;
use crate::refusal::Refusal;
use crate::telling::say::fitted;

/// Lists the APIs, or explains one.
pub(crate) fn apis(args: &ApisArgs) -> Exit {
    Exit::printing(text(args))
}

fn text(args: &ApisArgs) -> Result<String, Refusal> {
    match &args.api {
        Some(name) => Ok(fitted(Preset::named(name)?.api().explain())),
        None => Ok(fitted(list())),
    }
}

fn list() -> String {
    let widest = |text: fn(&Api) -> &str| {
        let widths = Api::built_in().map(|api| text(api).chars().count());
        widths.max().unwrap_or_default()
    };
    let widths = (widest(|api| &api.name), widest(|api| &api.title));
    Api::built_in().map(|api| line(api, widths)).collect()
}

fn line(api: &Api, (names, titles): (usize, usize)) -> String {
    let limits: Vec<_> = api.resources.iter().map(|it| &*it.name).collect();
    let Api {
        name, title, as_of, ..
    } = api;
    format!(
        "{name:<names$}  {title:<titles$}  {as_of}  {}\n",
        limits.join(", ")
    )
}
