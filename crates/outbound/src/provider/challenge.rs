//! Challenges of continuous access evaluation (provider facts A10).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::http::Response;

/// The claims that a 401 asks the next token to answer: `WWW-Authenticate: Bearer ... error="insufficient_claims",
/// claims="<base64>"`.
pub(super) fn claims(response: &Response) -> Option<String> {
    response.headers.get_all("www-authenticate").iter().find_map(|value| {
        let text = value.to_str().ok()?;
        if !text.contains("insufficient_claims") {
            return None;
        }
        let encoded = text.split("claims=\"").nth(1)?.split('"').next()?.trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(encoded).or_else(|_| URL_SAFE_NO_PAD.decode(encoded)).ok()?;
        String::from_utf8(bytes).ok().filter(|claims| claims.starts_with('{'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::{HeaderMap, HeaderValue, StatusCode};

    fn answer(header: &'static str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert("www-authenticate", HeaderValue::from_static(header));
        Response {
            status: StatusCode::UNAUTHORIZED,
            headers,
            body: bytes::Bytes::new(),
            place: String::new(),
        }
    }

    #[test]
    fn claims_are_decoded() {
        let header = concat!(
            r#"Bearer realm="", authorization_uri="https://x", error="insufficient_claims", "#,
            r#"claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==""#
        );
        let found = claims(&answer(header)).expect("claims");
        assert_eq!(found, r#"{"access_token":{"nbf":{"essential":true}}}"#);
        assert_eq!(claims(&answer(r#"Bearer error="invalid_token""#)), None);
        assert_eq!(claims(&answer(r#"Bearer error="insufficient_claims", claims="!""#)), None);
    }
}
