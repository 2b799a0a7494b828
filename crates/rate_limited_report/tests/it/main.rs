//! Statistics and the reports made of them, from outside.

mod pages;
mod sizes;
