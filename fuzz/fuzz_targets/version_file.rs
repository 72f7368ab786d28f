#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boboyka_fuzz_targets::run("version_file", bytes));
