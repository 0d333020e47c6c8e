//! Headers of Google's messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|lines: &[u8]| webhook_ingress::parse::google_message(lines));
