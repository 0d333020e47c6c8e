//! Both shapes of Google's error bodies, and OAuth's.

use serde_json::Value;

/// Longest message that is kept, in characters.
const MESSAGE: usize = 500;

/// What an error body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// Reasons of `error.errors[]`, then of `error.details[]`, then `error.status`; OAuth's `error`.
    pub reasons: Vec<String>,
    /// The provider's words, shortened.
    pub message: String,
}

impl ErrorBody {
    /// Whether a reason stands anywhere in the body.
    pub fn has(&self, reason: &str) -> bool {
        self.reasons.iter().any(|known| known == reason)
    }

    /// The most specific reason.
    pub fn reason(&self) -> Option<&str> {
        self.reasons.first().map(String::as_str)
    }
}

/// Reads a body; one that is not Google's gives an empty answer.
pub fn parse_error(body: &[u8]) -> ErrorBody {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return ErrorBody::default();
    };
    let error = &value["error"];
    let mut reasons = Vec::new();
    if let Some(oauth) = error.as_str() {
        reasons.push(oauth.to_owned());
        return ErrorBody { reasons, message: shorten(value["error_description"].as_str()) };
    }
    for list in ["errors", "details"] {
        let listed = error[list].as_array().map_or(&[][..], Vec::as_slice);
        reasons.extend(listed.iter().filter_map(|entry| entry["reason"].as_str()).map(str::to_owned));
    }
    reasons.extend(error["status"].as_str().map(str::to_owned));
    let inner = error["errors"][0]["message"].as_str();
    ErrorBody { reasons, message: shorten(error["message"].as_str().or(inner)) }
}

fn shorten(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().take(MESSAGE).collect()
}
