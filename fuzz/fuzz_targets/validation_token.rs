//! Validation tokens, before their signature is looked at.
#![no_main]

libfuzzer_sys::fuzz_target!(|token: &str| webhook_ingress::parse::validation_token(token, 1_700_000_000));
