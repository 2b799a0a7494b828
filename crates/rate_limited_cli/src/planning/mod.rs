//! The command `plan`: what a run would come to.

pub(crate) mod advice;
pub(crate) mod command;
pub(crate) mod plan_args;
pub(crate) mod plan_limits;
pub(crate) mod plan_told;
