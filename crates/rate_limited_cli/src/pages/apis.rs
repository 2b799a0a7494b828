//! `rate-limited apis`: which APIs are known, and what is known of one.

use rate_limited::http::Api;

use crate::args::ApisArgs;
use crate::calling::preset::Preset;
use crate::exit::Exit;
use crate::refusal::Refusal;

/// Lists the APIs, or explains one.
pub(crate) fn apis(args: &ApisArgs) -> Exit {
    Exit::printing(text(args))
}

fn text(args: &ApisArgs) -> Result<String, Refusal> {
    match &args.api {
        Some(name) => Ok(Preset::named(name)?.api().explain()),
        None => Ok(Api::built_in().map(line).collect()),
    }
}

fn line(api: &Api) -> String {
    let limits: Vec<_> = api.resources.iter().map(|it| &*it.name).collect();
    let Api {
        name, title, as_of, ..
    } = api;
    format!("{name:<16} {title:<28} {as_of}  {}\n", limits.join(", "))
}
