//! A description for people.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::api::{Api, Auth};
use crate::class::Class;
use crate::resource::{Counted, Join, Key, Kind, Resource, Settlement};

impl Api {
    /// The description for people: what is limited, how it is charged, what refusals mean.
    ///
    /// ```
    /// use rate_limited_apis::Api;
    ///
    /// let text = Api::named("groq")?.explain();
    /// assert!(text.contains("requests_per_day"));
    /// # Ok::<(), rate_limited_apis::UnknownApi>(())
    /// ```
    pub fn explain(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{}: {}, as of {}", self.name, self.title, self.as_of)?;
        if self.untested {
            writeln!(out, "  nobody has tried this description yet")?;
        }
        let url = self
            .base_url
            .as_deref()
            .unwrap_or("no address of its own: give a base URL");
        writeln!(out, "  at      {url}")?;
        if let Some(auth) = &self.auth {
            let from = self
                .key_env
                .as_ref()
                .map_or(String::new(), |name| format!("${name}, sent as "));
            writeln!(out, "  key     {from}{}", shown_auth(auth))?;
        }
        for header in &self.headers {
            let value = header.value.as_deref().unwrap_or("…");
            writeln!(out, "  header  {}: {value} ({})", header.name, header.why)?;
        }
        if let Some(header) = &self.idempotency_header {
            writeln!(
                out,
                "  header  {header}: … (makes it safe to send a call again)"
            )?;
        }
        if !self.endpoints.is_empty() {
            writeln!(out, "\nCalls")?;
        }
        for endpoint in &self.endpoints {
            let method = endpoint.method.as_deref().unwrap_or("any");
            let once = if endpoint.repeatable {
                ""
            } else {
                ", not repeated blindly"
            };
            writeln!(
                out,
                "  {:<12} {method} {}{once}",
                endpoint.class,
                endpoint.path.as_str()
            )?;
        }
        writeln!(out, "\nLimits")?;
        if self.resources.is_empty() {
            writeln!(out, "  none is known")?;
        }
        for resource in &self.resources {
            write_resource(out, resource)?;
        }
        self.write_rest(out)
    }

    /// The models that share their quotas.
    fn write_pools(&self, out: &mut String) -> fmt::Result {
        if !self.pools.is_empty() {
            writeln!(out, "\nModels that share their limits")?;
        }
        for pool in &self.pools {
            writeln!(out, "  {}: {}", pool.name, pool.models.join(", "))?;
        }
        Ok(())
    }

    fn write_rest(&self, out: &mut String) -> fmt::Result {
        self.write_pools(out)?;
        // Several rules may lead to one meaning.
        let mut meanings: Vec<(Class, &str)> = Vec::new();
        for rule in &self.rules {
            let meaning = rule.why.as_deref().map(|why| (rule.class, why));
            meanings.extend(meaning.filter(|meaning| !meanings.contains(meaning)));
        }
        if !meanings.is_empty() {
            writeln!(out, "\nRefusals")?;
        }
        for (class, why) in meanings {
            writeln!(out, "  {:<18}{why}", class.shown())?;
        }
        if !self.tiers.is_empty() {
            writeln!(out, "\nTiers")?;
        }
        for tier in &self.tiers {
            let limits = tier
                .limits
                .iter()
                .map(|(name, limit)| format!("{name} {limit}"));
            let limits: Vec<String> = limits.collect();
            let models = tier.models.join(", ");
            let models = if models.is_empty() {
                models
            } else {
                format!(" ({models})")
            };
            let note = tier
                .note
                .as_ref()
                .map_or(String::new(), |note| format!(" ({note})"));
            let limits = limits.join(", ");
            writeln!(out, "  {}{models}: {limits}{note}", tier.name)?;
        }
        if !self.prices.is_empty() {
            writeln!(out, "\nPrices")?;
        }
        for price in &self.prices {
            let of = [price.models.join(", "), price.endpoints.join(", ")].join(" ");
            writeln!(
                out,
                "  {} ${} for {} {}",
                of.trim(),
                price.usd,
                price.per,
                price.unit
            )?;
        }
        if !self.notes.is_empty() {
            writeln!(out, "\nNotes")?;
        }
        for note in &self.notes {
            writeln!(out, "  - {note}")?;
        }
        writeln!(out, "\nFrom {}", self.source.join(", "))
    }
}

fn shown_auth(auth: &Auth) -> String {
    match (&auth.header, &auth.query) {
        (Some(header), _) => format!("{header}: {}…", auth.prefix),
        (None, Some(query)) => format!("?{query}=…"),
        (None, None) => String::new(),
    }
}

fn write_resource(out: &mut String, resource: &Resource) -> fmt::Result {
    write!(out, "  {}: ", resource.name)?;
    if let Some(limit) = resource.limit {
        write!(out, "{limit} ")?;
    }
    write!(out, "{}", resource.unit)?;
    if let Some(window) = resource.window {
        write!(out, " in {}", short(window))?;
    }
    match resource.limit {
        Some(_) => {}
        None if resource.adaptive => write!(out, ", a limit that the server moves")?,
        None => write!(out, ", a limit by account")?,
    }
    let mut facts = vec![shown_kind(resource.kind).to_owned()];
    facts.extend(shown_key(resource));
    facts.extend(
        resource
            .slice
            .map(|slice| format!("enforced over {}", short(slice))),
    );
    facts.extend(resource.anchor.as_ref().map(ToString::to_string));
    facts.extend(resource.counted.map(|counted| match counted {
        Counted::Arrival => "counted at arrival".to_owned(),
        Counted::Completion => "counted at completion".to_owned(),
    }));
    facts.extend(
        resource
            .settlement
            .map(|settlement| shown_settlement(settlement).to_owned()),
    );
    facts.extend(counts("failed", resource.failures_count));
    facts.extend(counts("refused", resource.refusals_count));
    if resource.optional {
        facts.push("for some accounts only".to_owned());
    }
    writeln!(out, "; {}", facts.join("; "))?;
    writeln!(out, "      takes {}", shown_cost(resource))?;
    let told: Vec<String> = resource
        .feedback
        .sources()
        .map(ToString::to_string)
        .collect();
    if !told.is_empty() {
        writeln!(out, "      told by {}", told.join(", "))?;
    }
    match &resource.note {
        Some(note) => writeln!(out, "      {note}"),
        None => Ok(()),
    }
}

fn shown_kind(kind: Option<Kind>) -> &'static str {
    match kind {
        None => "how it comes back is unknown",
        Some(Kind::Sliding) => "sliding window",
        Some(Kind::Bucket) => "refills continuously",
        Some(Kind::Fixed) => "fixed window",
        Some(Kind::Slots) => "held while a call runs",
        Some(Kind::Budget) => "never comes back",
        Some(Kind::Spacing) => "shortest time between calls",
    }
}

/// What has the limit for itself; `None`: all calls share it.
fn shown_key(resource: &Resource) -> Option<String> {
    if let (Some(part), Some(source)) = (&resource.part, resource.learnt_from().next()) {
        return Some(format!("{part} in {source} of the answers"));
    }
    let shown = resource.key.iter().map(|key| match key {
        Key::Model => "model".to_owned(),
        Key::Endpoint => "class of calls".to_owned(),
        Key::Path => "path".to_owned(),
        Key::Learnt(source) => format!("part that answers name in {source}"),
    });
    let shown: Vec<_> = shown.collect();
    (!shown.is_empty()).then(|| format!("for each {}", shown.join(" and ")))
}

fn shown_settlement(settlement: Settlement) -> &'static str {
    match settlement {
        Settlement::Keep => "charges the estimate",
        Settlement::Usage => "charges the estimate, then what was used",
        Settlement::After => "charges what was used, afterwards",
        Settlement::Told => "charges what the answer says",
    }
}

fn counts(what: &str, counts: Option<bool>) -> Option<String> {
    let verb = if counts? { "count" } else { "do not count" };
    Some(format!("{what} calls {verb}"))
}

fn shown_cost(resource: &Resource) -> String {
    let parts: Vec<String> = resource
        .cost
        .iter()
        .map(|(measure, weight)| format!("{weight} × {}", format!("{measure:?}").to_lowercase()))
        .collect();
    match resource.cost_is {
        Join::Sum => parts.join(" + "),
        Join::Largest => format!("the largest of {}", parts.join(", ")),
    }
}

/// A window in its largest whole unit.
fn short(window: Duration) -> String {
    let nanos = window.as_nanos();
    let units = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
    ];
    let whole = |(_, unit): &&(&str, u128)| nanos.is_multiple_of(*unit);
    match units.iter().find(whole) {
        Some((name, unit)) => format!("{} {name}", nanos / unit),
        None => format!("{window:?}"),
    }
}
