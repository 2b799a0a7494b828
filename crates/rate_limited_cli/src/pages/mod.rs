//! What is printed whole: man pages, completions, the reference, the descriptions of APIs.

pub(crate) mod apis;
pub(crate) mod help;
pub(crate) mod manual;
pub(crate) mod reference;
