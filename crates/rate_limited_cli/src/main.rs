//! The command `rate-limited`.
fn main() {}
