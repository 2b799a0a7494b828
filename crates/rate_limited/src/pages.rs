//! The pages whose examples are compiled and run with the tests: the README, and those of `docs` that have any.

#[doc = include_str!("../../../README.md")]
struct Readme;

#[doc = include_str!("../../../docs/pools.md")]
struct Pools;

#[doc = include_str!("../../../docs/concepts/limits_kept.md")]
struct LimitsKept;
