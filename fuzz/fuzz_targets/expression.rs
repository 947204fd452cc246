#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fidelity_fuzz::run("expression", data));
