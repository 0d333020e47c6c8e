//! Query parameters, read as strictly as JSON bodies.

use std::error::Error;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::json::field_error;
use crate::problem::Problem;

/// The query string as `T`; 422 naming the parameter for what does not fit. Derive `T` with
/// `#[serde(deny_unknown_fields)]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let axum::extract::Query(value) =
            axum::extract::Query::try_from_uri(&parts.uri).map_err(|rejection| {
                // "name: what is wrong" from serde_path_to_error, without a path when there is none.
                let text = rejection.source().map_or_else(|| rejection.body_text(), ToString::to_string);
                let (path, message) =
                    text.split_once(": ").filter(|(path, _)| !path.contains(' ')).unwrap_or(("", &text));
                Problem::unprocessable(vec![field_error(path, message)])
            })?;
        Ok(Self(value))
    }
}
