//! The `Idempotency-Key` header.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::problem::Problem;

/// Longest key that is accepted.
const MAX_CHARS: usize = 255;

/// The request's key, if it carries one: 1 to 255 visible ASCII characters, 400 otherwise. Repeating
/// a POST under the same key must not repeat its effect; the handler sees to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let (value, another) = (values.next(), values.next());
        let Some(value) = value else { return Ok(Self(None)) };
        let bytes = value.as_bytes();
        let valid = (1..=MAX_CHARS).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        match value.to_str() {
            Ok(key) if valid && another.is_none() => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::bad_request(
                "Idempotency-Key must be one value of 1 to 255 visible ASCII characters",
            )),
        }
    }
}
