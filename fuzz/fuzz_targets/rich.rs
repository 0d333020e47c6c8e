//! Encrypted content.
#![no_main]

use std::sync::LazyLock;

use outbound::rich::NotificationKeys;

static KEYS: LazyLock<NotificationKeys> = LazyLock::new(|| {
    let pem = include_str!("../../crates/outbound/tests/vectors/encryption_private_key.pem");
    NotificationKeys::parse(&format!("id: test-cert-1\n{pem}")).expect("a key")
});

libfuzzer_sys::fuzz_target!(|content: &[u8]| webhook_ingress::parse::rich(content, &KEYS));
