//! One binary for all tests against the public face.

mod answers;
mod any_bytes;
mod classes;
mod corpus;
mod descriptions;
mod formulas;
mod parsers;
