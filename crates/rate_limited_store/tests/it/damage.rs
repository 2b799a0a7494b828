//! Damage is found, told with its place, and what is good is kept.
fn _later() {}
