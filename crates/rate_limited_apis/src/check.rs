//! What must hold in a description beyond its grammar.

use std::fmt::Debug;
use std::time::Duration;

use crate::anchor::Anchor;
use crate::api::Api;
use crate::condition::Condition;
use crate::error::DescriptionError;
use crate::moment::WAIT_MAX;
use crate::resource::{Key, Kind, Resource, Settlement};

type Checked = Result<(), DescriptionError>;

/// `must!(it holds, field => value, what to do if not)`.
macro_rules! must {
    ($holds:expr, $field:expr => $value:expr, $next:expr) => {
        if !$holds {
            return Err(fault(&$field, &$value, $next));
        }
    };
}

impl Api {
    pub(crate) fn check(&self) -> Checked {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let named = !self.name.is_empty() && self.name.bytes().all(plain);
        must!(named, "name" => self.name, "use small letters, digits and _");
        if let Some(url) = &self.base_url {
            let web = url.starts_with("https://") || url.starts_with("http://");
            must!(web, "base_url" => url, "begin with https:// or http://");
        }
        if let Some(auth) = &self.auth {
            let one = auth.header.is_some() != auth.query.is_some();
            must!(one, "auth" => auth, "give either header or query");
        }
        for (at, resource) in self.resources.iter().enumerate() {
            let name = &resource.name;
            let first = self.resources[..at].iter().all(|other| other.name != *name);
            must!(!name.is_empty(), "resources.name" => name, "give the resource a name");
            must!(first, "resources.name" => name, "each name may come once");
            self.check_resource(resource)?;
        }
        self.check_rules()?;
        self.check_parts()?;
        self.check_numbers()
    }

    fn check_resource(&self, resource: &Resource) -> Checked {
        let field = |name: &str| format!("resources.{}.{name}", resource.name);
        let timeless = matches!(resource.kind, Some(Kind::Slots | Kind::Budget));
        let open = timeless || resource.kind.is_none();
        match resource.window {
            None => must!(open, field("window") => "missing", "say how long it is, as in \"1m\""),
            Some(window) => {
                must!(!timeless, field("window") => window, "leave it out: the kind has none");
                check_duration(&field("window"), window)?;
            }
        }
        if let Some(slice) = resource.slice {
            let inside = resource.window.is_some_and(|window| slice <= window);
            must!(inside, field("slice") => slice, "make it no longer than the window");
            check_duration(&field("slice"), slice)?;
        }
        check_number(&field("limit"), resource.limit)?;
        check_number(&field("burst"), resource.burst)?;
        let rounded_to = resource.feedback.rounded_to();
        check_number(&field("feedback.remaining.rounded_to"), rounded_to)?;
        let costs = !resource.cost.is_empty();
        must!(costs, field("cost") => "empty", "say what a call takes, as in { request = 1 }");
        for weight in resource.cost.values() {
            let sound = (0.0..=9.2e12).contains(weight);
            must!(sound, field("cost") => weight, "use weights from 0 to 9.2e12");
        }
        let told = resource.settlement == Some(Settlement::Told);
        let where_told = !told || resource.feedback.cost.is_some();
        must!(where_told, field("settlement") => "told", "say where, in feedback.cost");
        if let Some(part) = &resource.part {
            let named = resource.learnt_from().next().is_some();
            must!(named, field("part") => part, "say where answers name it, as in key = \"header:x-part\"");
        }
        self.check_endpoints(&field("endpoints"), &resource.endpoints)?;
        check_conditions(&field("feedback.over_limit"), &resource.feedback.over_limit)
    }

    /// What has quotas of its own: keys, pools of models, and tiers for single models.
    fn check_parts(&self) -> Checked {
        let by_model = |resource: &Resource| resource.key.contains(&Key::Model);
        for resource in &self.resources {
            let field = |name: &str| format!("resources.{}.{name}", resource.name);
            for (at, key) in resource.key.iter().enumerate() {
                let is_first = !resource.key[..at].contains(key);
                must!(is_first, field("key") => key, "name each key once");
            }
            let classes = !resource.key.contains(&Key::Endpoint) || !self.endpoints.is_empty();
            must!(classes, field("key") => "endpoint", "say in [[endpoints]] which classes there are");
            check_names(&field("models"), &resource.models)?;
        }
        for (at, pool) in self.pools.iter().enumerate() {
            let field = format!("pools.{}.models", pool.name);
            let name = &pool.name;
            let plain = !name.is_empty() && !name.contains(['*', '[', ']']);
            must!(plain, "pools.name" => name, "give the pool a name without * and brackets");
            let is_first = self.pools[..at].iter().all(|other| other.name != *name);
            must!(is_first, "pools.name" => name, "each name may come once: list all of its models there");
            must!(!pool.models.is_empty(), field => "empty", "name the models that share their limits");
            check_names(&field, &pool.models)?;
            let of_any = self.resources.iter().any(by_model);
            must!(of_any, field => pool.models, "give a resource key = \"model\": else all models share its limit");
        }
        for tier in &self.tiers {
            let field = |name: &str| format!("tiers.{}.{name}", tier.name);
            check_names(&field("models"), &tier.models)?;
            for name in tier.limits.keys().filter(|_| !tier.models.is_empty()) {
                let field = field(&format!("limits.{name}"));
                let of_models = self.resource(name).is_none_or(by_model);
                must!(of_models, field => tier.models, "give the resource key = \"model\", or leave out the models of the tier");
            }
        }
        for price in &self.prices {
            check_names("prices.models", &price.models)?;
        }
        Ok(())
    }

    fn check_rules(&self) -> Checked {
        for (at, rule) in self.rules.iter().enumerate() {
            let field = |name: &str| format!("rules[{at}].{name}");
            check_conditions(&field("when"), &rule.when)?;
            if let Some(resource) = &rule.resource {
                self.check_name(&field("resource"), resource)?;
            }
            if let Some(until) = &rule.until {
                let calendar = matches!(until, Anchor::Calendar(_));
                must!(calendar, field("until") => until, "use a day or month, as \"day UTC\"");
            }
        }
        for (at, disguise) in self.disguised.iter().enumerate() {
            let field = |name: &str| format!("disguised[{at}].{name}");
            check_conditions(&field("when"), &disguise.when)?;
            let error = (400..=599).contains(&disguise.status);
            must!(error, field("status") => disguise.status, "use a status from 400 to 599");
        }
        for (at, hint) in self.waits.iter().enumerate() {
            check_conditions(&format!("waits[{at}].when"), &hint.when)?;
        }
        Ok(())
    }

    fn check_numbers(&self) -> Checked {
        for tier in &self.tiers {
            for (name, limit) in &tier.limits {
                let field = format!("tiers.{}.limits.{name}", tier.name);
                self.check_name(&field, name)?;
                check_number(&field, Some(*limit))?;
            }
        }
        for price in &self.prices {
            let sound = (0.0..=9.2e12).contains(&price.usd);
            must!(sound, "prices.usd" => price.usd, "use at least 0, or leave the price out");
            check_number("prices.per", Some(price.per))?;
            self.check_endpoints("prices.endpoints", &price.endpoints)?;
        }
        Ok(())
    }

    fn check_endpoints(&self, field: &str, classes: &[String]) -> Checked {
        for class in classes {
            let known = self.endpoints.iter().any(|known| known.class == *class);
            must!(known, field => class, "name the class of one of the endpoints");
        }
        Ok(())
    }

    fn check_name(&self, field: &str, resource: &str) -> Checked {
        let known = self.resource(resource).is_some();
        must!(known, field => resource, "name one of the resources");
        Ok(())
    }
}

/// Names of models, in which one `*` stands for any text.
fn check_names(field: &str, names: &[String]) -> Checked {
    for name in names {
        let sound =
            !name.is_empty() && name.matches('*').count() <= 1 && !name.contains(['[', ']']);
        let next = "write the name of a model, with at most one * for any text, as in \"gpt-4o*\"";
        must!(sound, field => name, next);
    }
    Ok(())
}

fn check_conditions(field: &str, conditions: &[Condition]) -> Checked {
    for condition in conditions {
        let one = condition.tests() == 1 && !condition.at.is_empty();
        let next = "give each condition exactly one of is, not, has, present, exists and exceeds";
        must!(one, field => condition, next);
    }
    Ok(())
}

fn check_duration(field: &str, duration: Duration) -> Checked {
    let sound = (Duration::from_micros(1)..=WAIT_MAX).contains(&duration);
    must!(sound, field => duration, "use at least 1us and at most 400d");
    Ok(())
}

fn check_number(field: &str, number: Option<f64>) -> Checked {
    let sound = number.is_none_or(|number| number > 0.0 && number <= 9.2e12);
    let number = number.unwrap_or_default();
    must!(sound, field => number, "use a number above 0 and up to 9.2e12, or leave it out");
    Ok(())
}

fn fault(field: &(impl AsRef<str> + ?Sized), value: &dyn Debug, next: &str) -> DescriptionError {
    DescriptionError::Value {
        field: field.as_ref().to_owned(),
        value: format!("{value:?}"),
        next: next.to_owned(),
    }
}
