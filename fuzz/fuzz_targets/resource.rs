//! Resource paths.
#![no_main]

libfuzzer_sys::fuzz_target!(|path: &str| webhook_ingress::parse::resource(path));
