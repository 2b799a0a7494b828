//! The pages of `docs` whose examples are compiled and run with the tests.

#[doc = include_str!("../../../docs/pools.md")]
struct Pools;

#[doc = include_str!("../../../docs/concepts/limits_kept.md")]
struct LimitsKept;

#[doc = include_str!("../../../docs/guides/first_run.md")]
struct FirstRun;

#[doc = include_str!("../../../docs/guides/resume.md")]
struct Resume;

#[doc = include_str!("../../../docs/guides/several_limits.md")]
struct SeveralLimits;

#[doc = include_str!("../../../docs/guides/tuning.md")]
struct Tuning;

#[doc = include_str!("../../../docs/models.md")]
struct Models;
