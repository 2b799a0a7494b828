//! The pages of `docs` whose examples are compiled and run with the tests.

#[doc = include_str!("../../../docs/pools.md")]
struct Pools;

#[doc = include_str!("../../../docs/concepts/limits_kept.md")]
struct LimitsKept;
