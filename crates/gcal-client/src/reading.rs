//! What Google's answers mean for the calling policy (provider facts A7).

use outbound::http::Response;
use outbound::provider::Reading;

use crate::error::{Asked, GcalErrorKind, classify, parse_error};

/// Rate limits come as 403 as well as 429; a 401 about a webhook's address is not about the token; a 503 to a write
/// may have landed, whatever it asks for.
pub fn reading(response: &Response) -> Reading {
    match response.status.as_u16() {
        429 => Reading::Throttled,
        401 | 403 => {
            let body = parse_error(&response.body);
            match classify(response.status.as_u16(), &body, Asked::Read) {
                GcalErrorKind::Throttled { .. } => Reading::Throttled,
                GcalErrorKind::Credential => Reading::Unauthorized,
                _ => Reading::Answer,
            }
        }
        501 | 505 | 507 => Reading::ServerFault { again: false },
        408 | 500.. => Reading::ServerFault { again: true },
        _ => Reading::Answer,
    }
}
