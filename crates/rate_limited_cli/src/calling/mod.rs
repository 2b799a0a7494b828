//! One attempt: where it goes, what it takes of which limits, what its answer says.

pub(crate) mod api;
pub(crate) mod backend;
pub(crate) mod call;
pub(crate) mod feedback;
pub(crate) mod gate;
pub(crate) mod header;
pub(crate) mod judge;
pub(crate) mod key;
pub(crate) mod meter;
pub(crate) mod meters;
pub(crate) mod named;
pub(crate) mod names;
pub(crate) mod parts;
pub(crate) mod pool;
pub(crate) mod preset;
pub(crate) mod shares;
pub(crate) mod untold;
pub(crate) mod waits;
pub(crate) mod work;
