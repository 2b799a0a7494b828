//! From the input to requests: lines, tables and batch files of any length, in bounded memory.

pub mod bad_line;
pub(crate) mod csv_lines;
pub mod estimate;
pub(crate) mod feed;
pub mod input;
pub(crate) mod line;
pub(crate) mod offsets;
pub(crate) mod raw_lines;
pub(crate) mod repeats;
pub mod request;
pub mod scan;
pub(crate) mod scratch;
pub(crate) mod seen;
pub(crate) mod shape;
pub(crate) mod source;
pub(crate) mod spill;
pub(crate) mod stamp;
pub(crate) mod table_header;
pub(crate) mod too_large;
