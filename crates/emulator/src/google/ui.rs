//! The page at `/`: calendars and their events, to see and edit by hand. It acts as each calendar's owner.

use http::Method;
use serde_json::{Value, json};

use super::consent::html;
use super::model::{ApiError, Caller, ListParams, WriteParams};
use super::{query, routes};
use crate::http::{Call, Reply, decode};
use crate::world::World;

const PAGE: &str = include_str!("page.html");

/// The page, and the calls that it makes.
pub(crate) fn answer(world: &World, call: &Call) -> Reply {
    if call.path == "/" {
        return html(200, PAGE.to_owned());
    }
    // A page of another origin must not write here through the user's browser.
    let foreign = call.header("origin").is_some_and(|origin| origin != call.origin);
    if foreign {
        return routes::refuse(world, &ApiError::forbidden("This page only calls itself."));
    }
    match data(world, call) {
        Ok(value) => Reply::json(200, &value),
        Err(error) => routes::refuse(world, &error),
    }
}

fn data(world: &World, call: &Call) -> Result<Value, ApiError> {
    let mut model = world.google.model();
    if call.path == "/ui/calendars" {
        let dump = model.dump();
        let calendars: Vec<Value> = dump["calendars"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| json!({"id": one["id"], "summary": one["summary"], "time_zone": one["time_zone"], "owner": one["owner"]}))
            .collect();
        return Ok(json!({"items": calendars}));
    }
    let rest = call.path.strip_prefix("/ui/events").ok_or_else(ApiError::not_found)?;
    let event = decode(rest.trim_start_matches('/'));
    let calendar = query::text(call, "calendar").ok_or_else(|| ApiError::required("Required: calendar"))?;
    let owner = model.owner_of(&calendar)?;
    let caller = Caller { account: &owner, client: "page", now: world.clock.now() };
    let params = WriteParams::default();
    let answer = match call.method {
        Method::GET if event.is_empty() => json!({"items": model.dump_events(&calendar)}),
        Method::GET => model.get(&caller, &calendar, &event, &ListParams::default())?,
        Method::POST if event.is_empty() => {
            model.insert(&caller, &calendar, &routes::body(call)?, &params)?
        }
        Method::PATCH => model.patch(&caller, &calendar, &event, &routes::body(call)?, &params)?,
        Method::DELETE => {
            model.delete(&caller, &calendar, &event, &params)?;
            json!({})
        }
        _ => return Err(ApiError::not_found()),
    };
    if model.owes_messages() {
        world.google.bell.notify_one();
    }
    Ok(answer)
}
