//! `POST /batch/calendar/v3`: several calls in one `multipart/mixed` body, each with its own outcome (E38).

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::model::ApiError;
use super::{routes, serve};
use crate::http::{Body, Call, Reply};
use crate::world::World;

fn bad(world: &World, message: &str) -> Reply {
    routes::refuse(world, &ApiError::new(400, "global", "badRequest", message))
}

/// Answers a batch; parts are served in their order, which is one of those that the service may choose.
pub(crate) async fn answer(world: &Arc<World>, call: &Call) -> Reply {
    let boundary = call.header("content-type").and_then(|value| {
        let (_, rest) = value.split_once("boundary=")?;
        Some(rest.split(';').next()?.trim().trim_matches('"').to_owned())
    });
    let Some(boundary) = boundary.filter(|boundary| !boundary.is_empty()) else {
        return bad(world, "Failed to parse batch request, error: no boundary.");
    };
    let body = String::from_utf8_lossy(&call.body).into_owned();
    let marker = format!("--{boundary}");
    let parts: Vec<&str> =
        body.split(marker.as_str()).skip(1).take_while(|part| !part.starts_with("--")).collect();
    if parts.is_empty() {
        return bad(world, "Failed to parse batch request, error: no parts.");
    }
    let most = world.google.model().switches().batch_parts;
    if parts.len() > most {
        return bad(world, &format!("The batch request has too many parts: at most {most} are allowed."));
    }
    let outer = format!("batch_{}", chassis::ids::new_id().simple());
    let mut out = String::new();
    for part in parts {
        let (id, reply) = match read(part, call) {
            Some((id, inner)) => (id, serve::serve_part(world, inner).await),
            None => (None, bad(world, "Failed to parse a part of the batch request.")),
        };
        out.push_str(&written(&outer, id.as_deref(), &reply));
    }
    let _ = write!(out, "--{outer}--\r\n");
    let mut reply = Reply::empty(200).with(CONTENT_TYPE, &format!("multipart/mixed; boundary={outer}"));
    reply.body = Body::Bytes(Bytes::from(out));
    reply
}

fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(':')
            && let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name.trim()), HeaderValue::from_str(value.trim()))
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// The call inside a part, and the part's `Content-ID`.
fn read(part: &str, outer: &Call) -> Option<(Option<String>, Call)> {
    let part = part.replace("\r\n", "\n");
    let (head, inner) = part.trim_start_matches('\n').split_once("\n\n")?;
    let id = headers(head).get("content-id").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
    let (head, body) = inner.split_once("\n\n").unwrap_or((inner.trim_end(), ""));
    let (line, rest) = head.split_once('\n').unwrap_or((head, ""));
    let mut words = line.split_whitespace();
    let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
    let target = words.next()?;
    let target = match target.split_once("://") {
        Some((_, after)) => &after[after.find('/')?..],
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut own = headers(rest);
    if let Some(value) = outer.headers.get("authorization")
        && !own.contains_key("authorization")
    {
        own.insert("authorization", value.clone());
    }
    let call = Call {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: own,
        body: Bytes::from(body.trim_end().to_owned()),
        origin: outer.origin.clone(),
        account: None,
        page_fault: None,
    };
    Some((id, call))
}

fn written(boundary: &str, id: Option<&str>, reply: &Reply) -> String {
    let mut out = format!("--{boundary}\r\nContent-Type: application/http\r\n");
    if let Some(id) = id {
        let inner = id.trim_start_matches('<').trim_end_matches('>');
        let _ = write!(out, "Content-ID: <response-{inner}>\r\n");
    }
    let reason = http::StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason());
    let _ = write!(out, "\r\nHTTP/1.1 {} {}\r\n", reply.status, reason.unwrap_or("Unknown"));
    for (name, value) in &reply.headers {
        let _ = write!(out, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    let body = reply.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    let _ = write!(out, "content-length: {}\r\n\r\n{body}\r\n", body.len());
    out
}
