//! `POST /$batch`: up to 20 calls in one, each with its own outcome.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::serve;
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;
use crate::world::World;

const MAX_REQUESTS: usize = 20;

fn bad(message: impl Into<String>) -> Reply {
    GraphError::new(400, "BadRequest", message).into()
}

/// Answers a batch; items are served one after the other, in the order that `dependsOn` allows.
pub(crate) async fn answer(world: &World, call: &Call) -> Reply {
    if call.method != Method::POST {
        return GraphError::new(405, "invalidRequest", "The method is not possible on this resource.").into();
    }
    let body = match call.json() {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let Some(requests) = body["requests"].as_array().filter(|requests| !requests.is_empty()) else {
        return bad("Invalid batch payload format.");
    };
    if requests.len() > MAX_REQUESTS {
        return bad("Number of batch request steps exceeds the maximum value of 20.");
    }
    let mut outcomes: HashMap<String, u16> = HashMap::new();
    let mut responses = Vec::new();
    for request in requests {
        let Some(id) = request["id"].as_str().map(ToOwned::to_owned) else {
            return bad("A request step has no id.");
        };
        if outcomes.contains_key(&id) {
            return bad(format!("The request step id '{id}' is not unique."));
        }
        let needed: Vec<&str> = request["dependsOn"]
            .as_array()
            .map(|ids| ids.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        // Steps may only depend on earlier ones, as in the service.
        if needed.iter().any(|wanted| !outcomes.contains_key(*wanted)) {
            return bad(format!("The request step '{id}' depends on a step that does not come before it."));
        }
        let failed = needed.iter().any(|wanted| outcomes.get(*wanted).is_some_and(|status| *status >= 400));
        let reply = if failed {
            Reply::error(GraphError::new(
                424,
                "FailedDependency",
                "A step that this one depends on has failed.",
            ))
        } else {
            match step(call, request) {
                Ok(step) => serve::serve_step(world, step).await,
                Err(error) => error.into(),
            }
        };
        outcomes.insert(id.clone(), reply.status);
        responses.push(response(&id, reply, world, call));
    }
    Reply::json(200, &json!({"responses": responses}))
}

fn step(call: &Call, request: &Value) -> Result<Call, GraphError> {
    let invalid =
        |what: &str| GraphError::new(400, "BadRequest", format!("The request step has no valid {what}."));
    let method =
        request["method"].as_str().and_then(|m| Method::from_bytes(m.to_uppercase().as_bytes()).ok());
    let method = method.ok_or_else(|| invalid("method"))?;
    let url = request["url"].as_str().filter(|url| !url.contains("://")).ok_or_else(|| invalid("url"))?;
    let version = if call.path.starts_with("/beta") { "/beta" } else { "/v1.0" };
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut headers = HeaderMap::new();
    for (name, value) in request["headers"].as_object().unwrap_or(&Map::new()) {
        if let (Ok(name), Some(Ok(value))) =
            (HeaderName::try_from(name.as_str()), value.as_str().map(HeaderValue::from_str))
        {
            headers.insert(name, value);
        }
    }
    let body = match &request["body"] {
        Value::Null => Bytes::new(),
        // Bytes that are not JSON come as base64.
        Value::String(text) => STANDARD.decode(text).map_or_else(|_| text.clone().into(), Bytes::from),
        json => json.to_string().into(),
    };
    Ok(Call {
        method,
        path: format!("{version}/{}", path.trim_start_matches('/')),
        query: query.to_owned(),
        headers,
        body,
        origin: call.origin.clone(),
        account: call.account.clone(),
        page_fault: None,
    })
}

fn response(id: &str, reply: Reply, world: &World, call: &Call) -> Value {
    let date = world.clock.now().format("%Y-%m-%dT%H:%M:%S").to_string();
    let request_id = chassis::ids::new_id().to_string();
    let client_id = call.header("client-request-id").unwrap_or(&request_id).to_owned();
    let reply = reply.seal(&request_id, &client_id, &date);
    let mut headers = Map::new();
    for (name, value) in &reply.headers {
        // The service writes the names as `Content-Type`.
        let name: Vec<String> = name.as_str().split('-').map(capitalised).collect();
        headers.insert(name.join("-"), json!(value.to_str().unwrap_or_default()));
    }
    let body = reply
        .bytes()
        .filter(|bytes| !bytes.is_empty())
        .map(|bytes| serde_json::from_slice(bytes).unwrap_or_else(|_| json!(STANDARD.encode(bytes))));
    let mut response = json!({"id": id, "status": reply.status, "headers": headers});
    if let Some(body) = body {
        response["body"] = body;
    }
    response
}

fn capitalised(part: &str) -> String {
    let mut letters = part.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
