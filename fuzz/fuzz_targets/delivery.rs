//! Bodies of deliveries: what is read of one comes back from the spool as it was.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| webhook_ingress::parse::delivery(body));
