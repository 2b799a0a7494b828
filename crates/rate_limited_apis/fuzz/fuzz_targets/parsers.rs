#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/any_bytes.rs"]
mod any_bytes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| any_bytes::parsers(data));
