//! Calendar v3: from an address to an answer.

use std::sync::Arc;

use http::Method;
use http::header::{CONTENT_TYPE, ETAG};
use serde_json::Value;

use super::access::{self, Need};
use super::fields;
use super::model::{ApiError, Caller, Cost, Google, Role};
use super::oauth::Access;
use super::{push, query};
use crate::http::{Call, Reply, decode};
use crate::world::World;

/// Path before all of Calendar v3.
pub(crate) const BASE: &str = "/calendar/v3/";

/// An answer before it is written.
#[derive(Debug)]
pub(crate) enum Answer {
    Json(Value),
    Empty,
}

/// The error in the shape that the switches ask for.
pub(crate) fn refuse(world: &World, error: &ApiError) -> Reply {
    let body = error.body(world.google.shape());
    Reply::json(error.status, &body).with(CONTENT_TYPE, "application/json; charset=UTF-8")
}

/// Answers one call of Calendar v3: token, scopes, quota, the call itself, partial response.
pub(crate) async fn answer(world: &Arc<World>, call: &mut Call) -> Reply {
    match try_answer(world, call).await {
        Ok(reply) => reply,
        Err(error) => refuse(world, &error),
    }
}

async fn try_answer(world: &Arc<World>, call: &mut Call) -> Result<Reply, ApiError> {
    let access = access::check(world, call)?;
    call.account = Some(access.account.clone());
    override_method(call);
    let path = call.path.strip_prefix(BASE).ok_or_else(ApiError::not_found)?;
    let segments: Vec<String> = path.trim_end_matches('/').split('/').map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    need(&call.method, &segments)?.check(&access)?;
    let caller = Caller { account: &access.account, client: &access.client_id, now: world.clock.now() };
    world.google.model().meter(&caller, cost(&call.method, &segments))?;
    let answer = if segments.last() == Some(&"watch") {
        push::watch(world, &access, &segments, call).await?
    } else {
        let mut model = world.google.model();
        let answer = route(&mut model, &caller, &segments, call)?;
        if model.owes_messages() {
            world.google.bell.notify_one();
        }
        answer
    };
    let Answer::Json(value) = answer else { return Ok(Reply::empty(204)) };
    let etag = value["etag"].as_str().map(ToOwned::to_owned);
    if call.method == Method::GET && etag.is_some() && call.header("if-none-match") == etag.as_deref() {
        return Ok(Reply::empty(304));
    }
    let value = match query::text(call, "fields") {
        Some(selection) => fields::select(&selection, value)?,
        None => value,
    };
    let mut reply = Reply::json(200, &value).with(CONTENT_TYPE, "application/json; charset=UTF-8");
    if let Some(etag) = etag {
        reply = reply.with(ETAG, &etag);
    }
    Ok(reply)
}

fn cost<'a>(method: &Method, segments: &[&'a str]) -> Cost<'a> {
    let writes = match segments {
        ["calendars", calendar, "events", ..] if method != Method::GET => Some(*calendar),
        _ => None,
    };
    Cost { writes, patch: writes.is_some() && method == Method::PATCH }
}

/// Clients send long queries as POST with `X-HTTP-Method-Override`.
fn override_method(call: &mut Call) {
    let Some(method) =
        call.header("x-http-method-override").and_then(|name| Method::from_bytes(name.as_bytes()).ok())
    else {
        return;
    };
    if call.method == Method::POST {
        if method == Method::GET {
            call.query = String::from_utf8_lossy(&call.body).into_owned();
        }
        call.method = method;
    }
}

/// The scope that a call needs; 404 for what is no address of the API.
fn need(method: &Method, segments: &[&str]) -> Result<Need, ApiError> {
    let read = method == Method::GET;
    Ok(match segments {
        ["calendars", _, "events", .., "watch"] => Need::EventsRead,
        ["calendars", _, "events", ..] => {
            if read {
                Need::EventsRead
            } else {
                Need::EventsWrite
            }
        }
        ["calendars", _, "acl", "watch"] => Need::AclRead,
        ["calendars", _, "acl", ..] => {
            if read {
                Need::AclRead
            } else {
                Need::AclWrite
            }
        }
        ["calendars", ..] => {
            if read {
                Need::CalendarRead
            } else {
                Need::CalendarWrite
            }
        }
        ["users", "me", "calendarList", "watch"] => Need::ListRead,
        ["users", "me", "calendarList", ..] => {
            if read {
                Need::ListRead
            } else {
                Need::ListWrite
            }
        }
        ["users", "me", "settings", ..] => Need::Settings,
        ["freeBusy"] => Need::FreeBusy,
        ["colors"] | ["channels", "stop"] => Need::Any,
        _ => return Err(ApiError::not_found()),
    })
}

/// The JSON body of a call.
pub(crate) fn body(call: &Call) -> Result<Value, ApiError> {
    if call.body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(&call.body).map_err(|_| ApiError::new(400, "global", "parseError", "Parse Error"))
}

fn route(
    model: &mut Google,
    caller: &Caller<'_>,
    segments: &[&str],
    call: &Call,
) -> Result<Answer, ApiError> {
    match segments {
        ["calendars", calendar, "events", rest @ ..] => events(model, caller, calendar, rest, call),
        ["calendars", calendar, "acl", rest @ ..] => acl(model, caller, calendar, rest, call),
        ["calendars", rest @ ..] => calendars(model, caller, rest, call),
        ["users", "me", "calendarList", rest @ ..] => calendar_list(model, caller, rest, call),
        ["users", "me", "settings"] if call.method == Method::GET => {
            model.settings(caller, &query::list(call)?).map(Answer::Json)
        }
        ["users", "me", "settings", id] if call.method == Method::GET => {
            model.setting(caller, id).map(Answer::Json)
        }
        ["colors"] if call.method == Method::GET => Ok(Answer::Json(model.colors())),
        ["freeBusy"] if call.method == Method::POST => {
            model.free_busy(caller, &body(call)?).map(Answer::Json)
        }
        ["channels", "stop"] if call.method == Method::POST => {
            model.stop(caller, &body(call)?).map(|()| Answer::Empty)
        }
        _ => Err(ApiError::not_found()),
    }
}

fn events(
    model: &mut Google,
    caller: &Caller<'_>,
    calendar: &str,
    rest: &[&str],
    call: &Call,
) -> Result<Answer, ApiError> {
    let params = query::write(call)?;
    let answer = match (&call.method, rest) {
        (&Method::GET, []) => model.list(caller, calendar, &query::list(call)?)?,
        (&Method::POST, []) => model.insert(caller, calendar, &body(call)?, &params)?,
        (&Method::POST, ["import"]) => model.import(caller, calendar, &body(call)?, &params)?,
        (&Method::POST, ["quickAdd"]) => {
            let text = query::text(call, "text").ok_or_else(|| ApiError::required("Required: text"))?;
            model.quick_add(caller, calendar, &text, &params)?
        }
        (&Method::GET, [event]) => model.get(caller, calendar, event, &query::list(call)?)?,
        (&Method::PUT, [event]) => model.update(caller, calendar, event, &body(call)?, &params)?,
        (&Method::PATCH, [event]) => model.patch(caller, calendar, event, &body(call)?, &params)?,
        (&Method::DELETE, [event]) => {
            model.delete(caller, calendar, event, &params)?;
            return Ok(Answer::Empty);
        }
        (&Method::GET, [event, "instances"]) => {
            model.instances(caller, calendar, event, &query::list(call)?)?
        }
        (&Method::POST, [event, "move"]) => {
            let destination = query::text(call, "destination")
                .ok_or_else(|| ApiError::required("Required: destination"))?;
            model.move_event(caller, calendar, event, &destination, &params)?
        }
        _ => return Err(ApiError::not_found()),
    };
    Ok(Answer::Json(answer))
}

fn acl(
    model: &mut Google,
    caller: &Caller<'_>,
    calendar: &str,
    rest: &[&str],
    call: &Call,
) -> Result<Answer, ApiError> {
    let account = |scope: &str| scope.strip_prefix("user:").map(ToOwned::to_owned);
    let role = |body: &Value| {
        body["role"].as_str().and_then(Role::parse).ok_or_else(|| ApiError::invalid("Invalid role value."))
    };
    let only_users = || ApiError::invalid("Invalid scope value.");
    match (&call.method, rest) {
        (&Method::GET, []) => model.acl_list(caller, calendar, &query::list(call)?).map(Answer::Json),
        (&Method::POST, []) => {
            let body = body(call)?;
            let user = body["scope"]["value"].as_str().filter(|_| body["scope"]["type"] == "user");
            let user = user.ok_or_else(only_users)?;
            model.share(caller, calendar, user, role(&body)?).map(Answer::Json)
        }
        (&Method::PATCH | &Method::PUT, [scope]) => {
            let user = account(scope).ok_or_else(only_users)?;
            model.share(caller, calendar, &user, role(&body(call)?)?).map(Answer::Json)
        }
        (&Method::DELETE, [scope]) => {
            let user = account(scope).ok_or_else(only_users)?;
            model.share(caller, calendar, &user, Role::None).map(|_| Answer::Empty)
        }
        _ => Err(ApiError::not_found()),
    }
}

fn calendars(
    model: &mut Google,
    caller: &Caller<'_>,
    rest: &[&str],
    call: &Call,
) -> Result<Answer, ApiError> {
    let params = query::write(call)?;
    match (&call.method, rest) {
        (&Method::POST, []) => model.calendar_insert(caller, &body(call)?).map(Answer::Json),
        (&Method::GET, [id]) => model.calendar_get(caller, id).map(Answer::Json),
        (&Method::PATCH, [id]) => {
            model.calendar_change(caller, id, &body(call)?, &params, false).map(Answer::Json)
        }
        (&Method::PUT, [id]) => {
            model.calendar_change(caller, id, &body(call)?, &params, true).map(Answer::Json)
        }
        (&Method::DELETE, [id]) => model.calendar_delete(caller, id).map(|()| Answer::Empty),
        (&Method::POST, [id, "clear"]) => model.calendar_clear(caller, id).map(|()| Answer::Empty),
        _ => Err(ApiError::not_found()),
    }
}

fn calendar_list(
    model: &mut Google,
    caller: &Caller<'_>,
    rest: &[&str],
    call: &Call,
) -> Result<Answer, ApiError> {
    match (&call.method, rest) {
        (&Method::GET, []) => {
            let least = query::text(call, "minAccessRole").and_then(|role| Role::parse(&role));
            let hidden = query::flag(call, "showHidden")?;
            model.calendar_list(caller, &query::list(call)?, hidden, least).map(Answer::Json)
        }
        (&Method::POST, []) => model.list_insert(caller, &body(call)?).map(Answer::Json),
        (&Method::GET, [id]) => model.list_entry(caller, id).map(Answer::Json),
        (&Method::PATCH | &Method::PUT, [id]) => {
            model.list_change(caller, id, &body(call)?).map(Answer::Json)
        }
        (&Method::DELETE, [id]) => model.list_delete(caller, id).map(|()| Answer::Empty),
        _ => Err(ApiError::not_found()),
    }
}

/// The caller of a watch, whose access outlives the lock of the model.
pub(crate) fn caller<'a>(world: &World, access: &'a Access) -> Caller<'a> {
    Caller { account: &access.account, client: &access.client_id, now: world.clock.now() }
}
