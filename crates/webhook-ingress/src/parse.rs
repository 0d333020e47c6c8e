//! Everything that reads what a stranger sent, as plain functions, for fuzzing. None of them may panic.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use outbound::rich::{Encrypted, NotificationKeys};
use uuid::Uuid;

use crate::arrival::{Arrival, Content, Source};
use crate::{google, handshake, notification};

/// Reads a delivery of Graph, and what would be kept of it in the spool comes back as it was.
///
/// # Panics
/// When what is kept is not what was read.
pub fn delivery(body: &[u8]) {
    let Ok(value) = serde_json::from_slice(body) else { return };
    let _ = handshake::token_in(&value);
    let Ok(delivery) = notification::read(value, Uuid::nil) else { return };
    let arrival = Arrival::new(Source::Teams, Content::Graph(delivery.notifications));
    let kept = serde_json::to_vec(&arrival).expect("what was read can be written");
    let back: Arrival = serde_json::from_slice(&kept).expect("what was written can be read");
    assert_eq!(arrival, back);
    assert_eq!(arrival.senders(), back.senders());
}

/// Opens an encrypted resource.
pub fn rich(content: &[u8], keys: &NotificationKeys) {
    if let Ok(encrypted) = serde_json::from_slice::<Encrypted>(content) {
        let _ = keys.open(&encrypted);
    }
}

/// Takes a validation token apart and judges what it claims.
pub fn validation_token(token: &str, now: i64) {
    if let Ok(unproven) = domain::notification::token::take_apart(token) {
        let _ = domain::notification::claims::tenant(&unproven.claims, &["app".to_owned()], now);
    }
}

/// Reads the handshake's parameter and echoes it.
pub fn handshake(query: &str) {
    if let Ok(uri) = format!("/x?{query}").parse::<Uri>()
        && let Some(token) = handshake::token(&uri, &HeaderMap::new())
    {
        drop(handshake::echo(&token));
    }
}

/// Reads what a resource path names.
pub fn resource(path: &str) {
    let _ = domain::notification::named::Named::read(path).map(|named| named.hint());
}

/// Reads a message of Google: one header in each line, name and value separated by a colon.
pub fn google_message(lines: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let _ = google::message::read(&headers, Uuid::nil());
}
