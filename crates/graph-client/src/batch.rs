//! JSON batching (json-batching, Graph v1.0): at most 20 reads in one call, each with an outcome of its own.

use std::collections::HashMap;

use domain::throttle::Operation;
use outbound::http::Request;
use outbound::provider::Call;
use outbound::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::GraphClient;
use crate::error::{GraphError, GraphErrorKind};

/// Requests in one batch.
pub const MAX_BATCH: usize = 20;

/// One read of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRequest {
    /// The caller's name for it, unique in the batch.
    pub id: String,
    /// Address below the version, such as `/drives/x/items/y`.
    pub path: String,
}

/// What became of one read.
#[derive(Debug)]
pub struct BatchOutcome {
    /// The caller's name for it.
    pub id: String,
    /// The body of a success, or why there is none. A throttled item has opened the fence already.
    pub result: Result<Value, GraphError>,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    requests: Vec<OutgoingItem<'a>>,
}

#[derive(Serialize)]
struct OutgoingItem<'a> {
    id: &'a str,
    method: &'static str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<OutgoingHeaders>,
}

/// Headers of the batch itself do not reach its items.
#[derive(Serialize, Clone, Copy)]
struct OutgoingHeaders {
    #[serde(rename = "Prefer")]
    prefer: &'static str,
}

#[derive(Deserialize)]
struct Answers {
    responses: Vec<Answer>,
}

/// One answer of a batch; headers come in any spelling.
#[derive(Deserialize)]
pub(crate) struct Answer {
    id: String,
    status: u16,
    #[serde(default)]
    headers: Option<HashMap<String, Value>>,
    #[serde(default)]
    body: Value,
}

impl GraphClient {
    /// Makes up to [`MAX_BATCH`] reads in one call. The answer has one outcome for each request, in their order;
    /// only the ones that failed are worth asking for again.
    ///
    /// # Errors
    /// [`GraphError`] when the batch as a whole failed, or has too many items.
    pub async fn batch(&self, requests: &[BatchRequest]) -> Result<Vec<BatchOutcome>, GraphError> {
        // The items count one by one (provider facts A8).
        self.batch_of(requests, Operation::GetItem.resource_units(), None).await
    }

    /// A batch whose items cost `units` each and carry this `Prefer`.
    pub(crate) async fn batch_of(
        &self,
        requests: &[BatchRequest],
        units: u32,
        prefer: Option<&'static str>,
    ) -> Result<Vec<BatchOutcome>, GraphError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        if requests.len() > MAX_BATCH {
            let message = format!("{} requests, at most {MAX_BATCH}", requests.len());
            return Err(GraphError::own("batch", GraphErrorKind::Refused, "batchTooLarge", message, None));
        }
        let outgoing = Outgoing {
            requests: requests
                .iter()
                .map(|r| OutgoingItem {
                    id: &r.id,
                    method: "GET",
                    url: &r.path,
                    headers: prefer.map(|prefer| OutgoingHeaders { prefer }),
                })
                .collect(),
        };
        let items = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let call = Call { cost: units * items, ..Call::read("batch", Operation::List) };
        let request = Request::new(Method::POST, self.url("batch", "/$batch")?);
        let answers: Answers = self.write_json(&call, request, &outgoing).await?;
        let mut by_id: HashMap<String, Answer> =
            answers.responses.into_iter().map(|answer| (answer.id.clone(), answer)).collect();
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in requests {
            let result = match by_id.remove(&request.id) {
                Some(answer) => self.outcome(answer).await,
                None => Err(GraphError::own(
                    "batch",
                    GraphErrorKind::Unavailable,
                    "missingAnswer",
                    "the batch has no answer for this item".to_owned(),
                    None,
                )),
            };
            outcomes.push(BatchOutcome { id: request.id.clone(), result });
        }
        Ok(outcomes)
    }

    async fn outcome(&self, answer: Answer) -> Result<Value, GraphError> {
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let mut error = answer.into_error();
        if error.throttled() {
            let retry_after = self.provider().throttled_item(error.retry_after.as_deref()).await;
            error.error.kind = GraphErrorKind::Throttled { retry_after };
        }
        Err(error.error)
    }

    /// Sends JSON and decodes the answer.
    pub(crate) async fn write_json<T: serde::de::DeserializeOwned>(
        &self,
        call: &Call,
        request: Request,
        body: &impl Serialize,
    ) -> Result<T, GraphError> {
        let unavailable = |code: &str, message: String| {
            GraphError::own(call.operation, GraphErrorKind::Unavailable, code, message, None)
        };
        let request = request.json(body).map_err(|e| unavailable("invalidRequest", e.to_string()))?;
        let response = self.send(call, request, false).await?;
        response.json().map_err(|e| unavailable("malformedAnswer", e.to_string()))
    }
}

/// An item's error and its `Retry-After`.
struct ItemError {
    error: GraphError,
    retry_after: Option<String>,
}

impl ItemError {
    fn throttled(&self) -> bool {
        match self.error.status {
            Some(429 | 509) => true,
            Some(503) => self.retry_after.is_some(),
            _ => false,
        }
    }
}

impl Answer {
    fn into_error(self) -> ItemError {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.unwrap_or_default() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&text)) {
                headers.insert(name, value);
            }
        }
        let response = outbound::http::Response {
            status: StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY),
            headers,
            body: serde_json::to_vec(&self.body).unwrap_or_default().into(),
            place: "$batch".to_owned(),
        };
        let retry_after = response.header("retry-after").map(str::to_owned);
        ItemError { error: GraphError::from_response("batch", &response, false), retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_items_headers_are_read() {
        let answer: Answer = serde_json::from_str(
            r#"{"id":"1","status":429,"headers":{"Retry-After":"120"},"body":{"error":{"code":"activityLimitReached"}}}"#,
        )
        .expect("an answer");
        let error = answer.into_error();
        assert_eq!(&*error.error.code, "activityLimitReached");
        assert!(error.throttled() && error.retry_after.as_deref() == Some("120"));
        let answer: Answer = serde_json::from_str(r#"{"id":"1","status":404}"#).expect("an answer");
        let error = answer.into_error();
        assert_eq!(error.error.kind, GraphErrorKind::NotFound);
        assert!(!error.throttled());
    }
}
