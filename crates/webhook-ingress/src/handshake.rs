//! The validation handshake (change-notifications-delivery-webhooks, Graph v1.0): Graph sends a token and wants
//! it back, decoded, as plain text within 10 s, before the subscription exists anywhere.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use url::form_urlencoded;

/// Longest token that is echoed.
const MAX_TOKEN: usize = 4096;

/// The token of the query string, or of the header that older senders use, decoded.
pub fn token(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name.eq_ignore_ascii_case("validationToken"))
        .map(|(_, token)| token.into_owned())
        .or_else(|| headers.get("validationtoken")?.to_str().ok().map(str::to_owned))
}

/// The token of a JSON body `{"validationToken": ".."}`, as the runbook's check sends it.
pub fn token_in(body: &Value) -> Option<&str> {
    if body.get("value").is_some() {
        return None;
    }
    body.get("validationToken")?.as_str()
}

/// The echo.
pub fn echo(token: &str) -> Response {
    if token.is_empty() || token.len() > MAX_TOKEN {
        return web::problem::Problem::bad_request(format!("validationToken has 1 to {MAX_TOKEN} bytes"))
            .into_response();
    }
    // Whatever the token says, no browser may take it for a page.
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::OK, headers, token.to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_decoded_once() {
        let uri: Uri = "/x?a=b&validationToken=Validation%3A+Testing%20%2B%252B".parse().expect("a URI");
        assert_eq!(token(&uri, &HeaderMap::new()).as_deref(), Some("Validation: Testing +%2B"));
        let none: Uri = "/x?validation=1".parse().expect("a URI");
        assert_eq!(token(&none, &HeaderMap::new()), None);
        assert_eq!(token_in(&serde_json::json!({ "validationToken": "t" })), Some("t"));
        assert_eq!(token_in(&serde_json::json!({ "validationToken": "t", "value": [] })), None);
    }
}
