//! When a quota of the calendar comes back: every day at midnight in some time zone, at the first of a month, with
//! each minute of the clock.
//!
//! A [`Calendar`] turns a moment of the wall clock into the [`Window`] that it lies in. It knows that days have 23 or
//! 25 hours now and then, and months 28 to 31 days. [`Calendars`] tells a limiter of the core the ends of such windows.
//! [`on_the_wall`] says to people when that is. None of them reads a clock, and of the system only its time zone and the
//! rules of others, of which there is a copy here.
//!
//! ```
//! use rate_limited_calendar::Calendar;
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! let calendar: Calendar = "day America/Los_Angeles".parse()?;
//! let noon = UNIX_EPOCH + Duration::from_secs(1_774_785_600); // 2026-03-29 12:00 UTC, 05:00 there
//! let window = calendar.window_at(noon).expect("within what calendars know");
//! assert_eq!(noon.duration_since(window.start)?, Duration::from_secs(5 * 3_600));
//! assert_eq!(window.end.duration_since(noon)?, Duration::from_secs(19 * 3_600));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calendar;
mod calendars;
mod moment;
mod zone;

pub use calendar::{Calendar, CalendarError, Window};
pub use calendars::Calendars;
pub use moment::on_the_wall;
pub use zone::Zone;
