//! Error bodies in all their spellings (provider facts A9).

use serde::Deserialize;
use serde_json::Value;

/// Codes that decisions depend on or operators look up. An inner code outside this list says less than its parent.
const KNOWN: [&str; 38] = [
    "accessDenied",
    "activityLimitReached",
    "ApplicationThrottled",
    "cannotSnapshotTree",
    "conflict",
    "ExtensionError",
    "generalException",
    "invalidRange",
    "InvalidAuthenticationToken",
    "invalidRequest",
    "InvalidRequest",
    "itemNotFound",
    "ErrorItemNotFound",
    "malwareDetected",
    "nameAlreadyExists",
    "notAllowed",
    "notSupported",
    "quotaLimitReached",
    "resourceLocked",
    "resourceModified",
    "entityTagDoesNotMatch",
    "resyncApplyDifferences",
    "resyncChangesApplyDifferences",
    "resyncChangesUploadDifferences",
    "resyncRequired",
    "resyncUploadDifferences",
    "serviceNotAvailable",
    "SyncStateInvalid",
    "SyncStateNotFound",
    "ErrorAccessDenied",
    "ErrorSendAsDenied",
    "MailboxNotEnabledForRESTAPI",
    "throttledRequest",
    "TooManyRequests",
    "unauthenticated",
    "UnknownError",
    "invalidCharacters",
    "pathIsTooLong",
];

/// Longest message that is carried on.
const MAX_MESSAGE: usize = 500;
/// Nesting of inner errors that is followed.
const MAX_DEPTH: usize = 16;

/// What an error body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// Codes from the outermost to the innermost.
    pub codes: Vec<String>,
    /// Outermost message.
    pub message: String,
    /// `request-id` of the inner error, in any of its spellings.
    pub request_id: Option<String>,
    /// `date` of the inner error, as written.
    pub date: Option<String>,
}

impl ErrorBody {
    /// The deepest code that is known, else the outermost one.
    pub fn code(&self) -> Option<&str> {
        let known =
            self.codes.iter().rev().find(|code| KNOWN.iter().any(|known| known.eq_ignore_ascii_case(code)));
        known.or_else(|| self.codes.first()).map(String::as_str)
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|c| c.eq_ignore_ascii_case(code))
    }
}

/// Reads an error body: `innerError` and `innererror`, the token endpoint's shape, an empty body, or no JSON at all.
pub fn parse_error(body: &[u8]) -> ErrorBody {
    #[derive(Deserialize)]
    struct Shape {
        error: Value,
        error_description: Option<String>,
    }
    let Ok(shape) = serde_json::from_slice::<Shape>(body) else {
        return ErrorBody::default();
    };
    let mut read = ErrorBody::default();
    if let Value::String(code) = &shape.error {
        read.codes.push(code.clone());
        read.message = shorten(shape.error_description.as_deref().unwrap_or_default());
        return read;
    }
    let mut level = Some(&shape.error);
    let mut depth = 0;
    while let Some(error) = level.filter(|_| depth < MAX_DEPTH) {
        if let Some(code) = text(error, &["code"]) {
            read.codes.push(code);
        }
        if read.message.is_empty() {
            read.message = shorten(&text(error, &["message"]).unwrap_or_default());
        }
        let request_id = text(error, &["request-id", "requestId"]);
        read.request_id = request_id.or(read.request_id);
        read.date = text(error, &["date"]).or(read.date);
        level = ["innerError", "innererror", "inner_error"].iter().find_map(|name| error.get(*name));
        depth += 1;
    }
    read
}

fn text(value: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| value.get(*name)?.as_str()).map(str::to_owned)
}

fn shorten(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).collect()
}
