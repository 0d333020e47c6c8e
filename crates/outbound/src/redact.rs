//! Addresses as they may be logged.
//!
//! Pre-authenticated download addresses carry a `tempauth` token in the query, delta links carry their token in
//! the query or in `delta(token='...')`: a log line shows neither.

use std::fmt::Write;

use url::Url;

/// Scheme, host, port and path of an address; the query is replaced by `?...`, a token in the path by `...`.
pub fn place(url: &Url) -> String {
    let mut out = format!("{}://{}", url.scheme(), url.host_str().unwrap_or("-"));
    if let Some(port) = url.port() {
        // Writing to a string cannot fail.
        let _ = write!(out, ":{port}");
    }
    out.push_str(&without_path_token(url.path()));
    if url.query().is_some() {
        out.push_str("?...");
    }
    out
}

/// [`place`] for text that may not be an address at all.
pub fn place_of(text: &str) -> String {
    Url::parse(text).map_or_else(|_| "(not an address)".to_owned(), |url| place(&url))
}

fn without_path_token(path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    for mark in ["token='", "token=%27", "token%3d%27"] {
        if let Some(at) = lower.find(mark) {
            return format!("{}...", &path[..at + mark.len()]);
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_tokens_never_show() {
        let cases = [
            (
                "https://x.sharepoint.com/_layouts/download.aspx?UniqueId=1&tempauth=eyJ0",
                "https://x.sharepoint.com/_layouts/download.aspx?...",
            ),
            (
                "http://127.0.0.1:4010/v1.0/drives/b!1/root/delta(token='secret')",
                "http://127.0.0.1:4010/v1.0/drives/b!1/root/delta(token='...",
            ),
            ("https://graph.microsoft.com/v1.0/me?sig=1", "https://graph.microsoft.com/v1.0/me?..."),
            ("https://user:pass@host/p", "https://host/p"),
        ];
        for (from, to) in cases {
            assert_eq!(place_of(from), to);
        }
        assert_eq!(place_of("secret"), "(not an address)");
    }
}
