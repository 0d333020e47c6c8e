//! JSON in and out. Requests are read strictly: what is not expected is refused by name.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::problem::{FieldError, Problem};

/// A JSON body. As an extractor: 415 for another content type, 413 for a body over the limit, 400
/// for what is not JSON, 422 naming the field for what does not fit `T`. Derive `T` with
/// `#[serde(deny_unknown_fields)]`, so that unknown fields are refused (CONTRACT, conventions).
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "the body must be sent as application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let body =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => body_too_large(),
                _ => Problem::bad_request("the body could not be read"),
            })?;
        parse(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

/// Reads `body` as the [`Json`] extractor does, for bodies that arrive by another way.
///
/// # Errors
/// 400 for what is not JSON, 422 for what does not fit `T`.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Every request here is an object; serde would also take its fields as an array, in their order.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let message = "is an array, expected an object";
        return Err(Problem::unprocessable(vec![FieldError::new("", message)]));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, &error.into_inner())
    })?;
    json.end().map_err(|error| refuse("", &error))?;
    Ok(value)
}

/// A field that is an object or null: serde would also take an array of its fields. For `deserialize_with`.
///
/// # Errors
/// What the object does not fit.
pub fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: DeserializeOwned,
{
    use serde::Deserialize;
    let Some(object) = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(deserializer)?
    else {
        return Ok(None);
    };
    T::deserialize(serde_json::Value::Object(object)).map(Some).map_err(serde::de::Error::custom)
}

pub(crate) fn body_too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is larger than accepted here")
}

fn refuse(path: &str, error: &serde_json::Error) -> Problem {
    match error.classify() {
        Category::Data => {
            let message = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            Problem::unprocessable(vec![field_error(path, message.strip_suffix(&place).unwrap_or(&message))])
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not JSON: {error}"))
        }
    }
}

/// What serde says about `path`, naming the field itself where serde reports the object around it.
pub fn field_error(path: &str, message: &str) -> FieldError {
    let path = if path == "." { "" } else { path };
    let named = ["unknown field `", "missing field `", "duplicate field `", "invalid field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split_once('`'))
        .map(|(name, _)| name);
    let field = match named {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if path != name && !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
        _ => path.to_owned(),
    };
    FieldError::new(field, message)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Outer {
        name: String,
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Inner {
        count: u32,
    }

    fn refused(body: &str) -> (u16, String) {
        let problem = parse::<Outer>(body.as_bytes()).expect_err(body);
        let body = crate::problem::ProblemBody::from(&problem);
        (body.status, body.errors.first().map(|error| error.field.clone()).unwrap_or_default())
    }

    #[test]
    fn faults_name_the_field() {
        assert!(parse::<Outer>(br#"{"name":"a","inner":[{"count":1}]}"#).is_ok());
        for (body, field) in [
            (r#"{"name":"a","inner":[{"count":1,"extra":2}]}"#, "inner[0].extra"),
            (r#"{"name":"a","inner":[{"count":-1}]}"#, "inner[0].count"),
            (r#"{"name":"a","inner":[{}]}"#, "inner[0].count"),
            (r#"{"name":"a","inner":[],"nmae":1}"#, "nmae"),
            (r#"{"inner":[]}"#, "name"),
            (r#"{"name":"a","name":"b","inner":[]}"#, "name"),
            ("[]", ""),
            (r#" ["a", []]"#, ""),
        ] {
            let (status, named) = refused(body);
            assert_eq!(status, 422, "{body}");
            assert_eq!(named, field, "{body}");
        }
        for body in ["", "{", "nonsense", r#"{"name":"a","inner":[]} more"#] {
            assert_eq!(refused(body).0, 400, "{body}");
        }
    }
}
