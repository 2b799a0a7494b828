#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/any_file.rs"]
mod any_file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| any_file::opened(data));
