//! Query strings of the validation handshake.
#![no_main]

libfuzzer_sys::fuzz_target!(|query: &str| webhook_ingress::parse::handshake(query));
