//! `RateLimit-Limit` of the older drafts: a limit, perhaps with a list of policies.

use std::time::Duration;

use rate_limited_core::Amount;

use super::structured::split;
use super::{number, seconds};

/// What a `RateLimit-Limit` of the older drafts says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policies {
    /// The limit in force: the first number.
    pub limit: Amount,
    /// The window of that limit, where a policy of the same quota names one.
    pub window: Option<Duration>,
    /// Each quota with its window.
    pub all: Vec<(Amount, Duration)>,
}

/// The limit and the policies of a `RateLimit-Limit` of the older drafts: `100, 100;w=60, 1000;w=3600`.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::parse::policies;
/// use rate_limited_core::Amount;
///
/// let told = policies("10, 10;w=1, 50;w=60").unwrap();
/// assert_eq!((told.limit, told.window), (Amount::units(10), Some(Duration::from_secs(1))));
/// assert_eq!(told.all[1], (Amount::units(50), Duration::from_secs(60)));
/// assert_eq!(policies("100").unwrap().window, None);
/// assert_eq!(policies("ten"), None);
/// ```
pub fn policies(field: &str) -> Option<Policies> {
    let (mut limit, mut all) = (None, Vec::new());
    // Commas between thousands, where nothing else makes a list of it.
    let parts = match number(field) {
        Some(_) => vec![field],
        None => split(field, ',')?,
    };
    for part in parts {
        let mut items = part.split(';');
        let quota = number(items.next()?)?;
        limit = limit.or(Some(quota));
        let windows = items.filter_map(|item| item.trim().strip_prefix("w="));
        all.extend(windows.filter_map(seconds).map(|window| (quota, window)));
    }
    let limit = limit?;
    let window = all.iter().find(|(quota, _)| *quota == limit);
    let window = window.map(|(_, window)| *window);
    Some(Policies { limit, window, all })
}
