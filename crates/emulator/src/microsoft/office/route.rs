//! Routes of mail, Teams and the directory.

use std::time::Duration;

use http::{HeaderName, Method};
use serde_json::json;

use super::model::Office;
use super::teams::Place;
use super::{
    attachments, calendar, mail_delta, mail_read, mail_write, not_allowed, permissions, segments, teams_read,
};
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;
use crate::world::World;

/// Whether these segments belong to this half: everything but drives.
fn ours(path: &[String]) -> bool {
    match path.first().map(String::as_str) {
        Some("teams" | "chats") => true,
        Some("users") => !matches!(path.get(2).map(String::as_str), Some("drive" | "drives")),
        _ => false,
    }
}

/// Answers a call below `/v1.0` if it is ours; `None` leaves it to the drives.
pub(crate) async fn answer(world: &World, relative: &str, call: &Call) -> Option<Result<Reply, GraphError>> {
    let path = segments::parse(relative);
    if let Err(refused) = permissions::check(&world.office.office().denied, &path, &call.method) {
        return Some(Err(refused));
    }
    if !ours(&path) {
        return None;
    }
    let mailbox = match path.as_slice() {
        [users, who, ..] if users == "users" => world.office.office().user_id(who).ok(),
        _ => None,
    };
    let limit = world.office.office().switches.mailbox_concurrency;
    let (Some(limit), Some(mailbox)) = (limit, mailbox) else {
        return Some(locked(world, &path, call));
    };
    if !world.office.office().usage.enter(&mailbox, limit.limit) {
        let text = "Application is over its MailboxConcurrency limit.";
        return Some(Err(GraphError::new(429, "ApplicationThrottled", text)));
    }
    chassis::time::pause(Duration::from_millis(limit.hold_ms)).await;
    let outcome = locked(world, &path, call);
    world.office.office().usage.leave(&mailbox);
    Some(outcome)
}

/// Serves the call and rings the bell when something changed.
fn locked(world: &World, path: &[String], call: &Call) -> Result<Reply, GraphError> {
    let now = world.clock.now_ms();
    let mut office = world.office.office();
    let outcome = serve(world, &mut office, path, call, now);
    if office.has_changes() {
        world.dirty.bell.notify_one();
    }
    outcome
}

fn get(call: &Call) -> Result<(), GraphError> {
    if call.method == Method::GET { Ok(()) } else { Err(not_allowed()) }
}

fn post(call: &Call) -> Result<(), GraphError> {
    if call.method == Method::POST { Ok(()) } else { Err(not_allowed()) }
}

fn serve(
    world: &World,
    office: &mut Office,
    path: &[String],
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["users"] => get(call).map(|()| mail_read::users(office, call)),
        ["users", who] => get(call).and_then(|()| mail_read::user(office, who, call)),
        ["users", who, "sendMail"] => post(call).and_then(|()| mail_write::send_mail(office, who, call, now)),
        ["users", who, "mailFolders", rest @ ..] => folders(office, who, rest, call, now),
        ["users", who, "calendar", rest @ ..] => calendar::serve(office, who, rest, call, now),
        ["users", who, rest @ ..] if matches!(rest.first(), Some(&"events" | &"calendarView")) => {
            calendar::serve(office, who, rest, call, now)
        }
        ["users", who, "messages", rest @ ..] => messages(world, office, who, rest, call, now),
        ["users", who, "joinedTeams"] => {
            office.user_id(who)?;
            get(call).map(|()| teams_read::teams(office, call))
        }
        ["users", who, "chats"] => get(call).and_then(|()| teams_read::chats(office, Some(who), call)),
        ["users", who, "chats", "getAllMessages"] => {
            let user = office.user_id(who)?;
            let mine = office.chats.values().filter(|chat| chat.members.contains(&user));
            let places: Vec<Place> = mine.map(|chat| Place::Chat { chat: chat.id.clone() }).collect();
            get(call).and_then(|()| teams_read::export(office, &places, call))
        }
        ["chats"] => get(call).and_then(|()| teams_read::chats(office, None, call)),
        ["chats", id] => get(call).and_then(|()| teams_read::chat(office, id, false, call)),
        ["chats", id, "members"] => get(call).and_then(|()| teams_read::chat(office, id, true, call)),
        ["chats", id, rest @ ..] => {
            let place = Place::Chat { chat: (*id).to_owned() };
            thread(office, &place, rest, call, now)
        }
        ["teams"] => get(call).map(|()| teams_read::teams(office, call)),
        ["teams", rest @ ..] => teams(office, rest, call, now),
        _ => Err(unknown(path)),
    }
}

fn unknown(path: &[String]) -> GraphError {
    let last = path.last().map(String::as_str).unwrap_or_default();
    GraphError::new(400, "BadRequest", format!("Resource not found for the segment '{last}'."))
}

fn folders(
    office: &mut Office,
    who: &str,
    rest: &[&str],
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let read = call.method == Method::GET;
    match rest {
        [] if read => mail_read::folders(&office.user(who)?.mailbox, who, None, call),
        [] => mail_read::folder_write(&mut office.user_mut(who)?.mailbox, None, None, call),
        ["delta"] => get(call).and_then(|()| mail_delta::folders(office, who, call)),
        [folder] if read => {
            let mailbox = &office.user(who)?.mailbox;
            mail_read::folder(mailbox, mailbox.folder(folder)?, 200, call)
        }
        [folder] => mail_read::folder_write(&mut office.user_mut(who)?.mailbox, None, Some(folder), call),
        [folder, "childFolders"] if read => {
            mail_read::folders(&office.user(who)?.mailbox, who, Some(folder), call)
        }
        [folder, "childFolders"] => {
            mail_read::folder_write(&mut office.user_mut(who)?.mailbox, Some(folder), None, call)
        }
        [folder, "messages"] if read => mail_read::messages(office, who, Some(folder), call),
        [folder, "messages"] => {
            post(call).and_then(|()| mail_write::create(office, who, Some(folder), call, now))
        }
        [folder, "messages", "delta"] => {
            get(call).and_then(|()| mail_delta::messages(office, who, folder, call))
        }
        [_, "messages", id] => mail_write::one(office, who, id, call, now),
        _ => Err(not_allowed()),
    }
}

fn messages(
    world: &World,
    office: &mut Office,
    who: &str,
    rest: &[&str],
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    match rest {
        [] if call.method == Method::GET => mail_read::messages(office, who, None, call),
        [] => post(call).and_then(|()| mail_write::create(office, who, None, call, now)),
        [id] => mail_write::one(office, who, id, call, now),
        [id, action @ ("send" | "move" | "copy" | "permanentDelete")] => {
            post(call).and_then(|()| mail_write::act(office, who, id, action, call, now))
        }
        [id, "attachments"] => attachments::list(office, who, id, call, now),
        [id, "attachments", "createUploadSession"] => {
            post(call)?;
            attachments::open(office, &mut world.office.sessions(), who, id, call, now)
        }
        [id, "attachments", one] => attachments::one(office, who, id, one, false, call, now),
        [id, "attachments", one, "$value"] => attachments::one(office, who, id, one, true, call, now),
        _ => Err(not_allowed()),
    }
}

fn teams(office: &mut Office, rest: &[&str], call: &Call, now: i64) -> Result<Reply, GraphError> {
    if let Some(team) = rest.first().and_then(|id| office.teams.get(*id)) {
        let young = now - team.created_ms < office.switches.new_team_bad_gateway_seconds * 1000;
        if young && rest.len() > 1 {
            return Err(GraphError::new(502, "BadGateway", "Failed to execute backend request."));
        }
    }
    match rest {
        [team] => get(call).and_then(|()| teams_read::team(office, team)),
        [team, "channels" | "allChannels"] => {
            get(call).and_then(|()| teams_read::channels(office, team, None, call))
        }
        [team, "channels", "getAllMessages"] => {
            let found = office.teams.get(*team).ok_or_else(|| super::teams::missing("The team"))?;
            let place = |id: &String| Place::Channel { team: (*team).to_owned(), channel: id.clone() };
            let places: Vec<Place> = found.channels.keys().map(place).collect();
            get(call).and_then(|()| teams_read::export(office, &places, call))
        }
        [team, "channels", channel] => {
            get(call).and_then(|()| teams_read::channels(office, team, Some(channel), call))
        }
        [team, "channels", channel, rest @ ..] => {
            let place = Place::Channel { team: (*team).to_owned(), channel: (*channel).to_owned() };
            thread(office, &place, rest, call, now)
        }
        _ => Err(not_allowed()),
    }
}

/// Messages of a channel or a chat.
fn thread(
    office: &mut Office,
    place: &Place,
    rest: &[&str],
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    office.thread(place)?;
    let id = match place {
        Place::Channel { channel, .. } => channel,
        Place::Chat { chat } => chat,
    };
    let listing = matches!(rest, ["messages"] | ["messages", "delta"])
        && call.query("$skiptoken").is_none()
        && call.method == Method::GET;
    let too_fast = office.usage.teams_call(id, listing, now);
    if too_fast && office.switches.enforce_channel_rate {
        return Err(GraphError::new(429, "TooManyRequests", "Too many requests to one channel or chat."));
    }
    if call.method != Method::GET {
        // chatmessage-post: application permissions are for migration only.
        let text = "Message POST is allowed in application-only context only for import purposes. Refer to \
                    https://docs.microsoft.com/microsoftteams/platform/graph-api/import-messages/\
                    import-external-messages-to-teams for more details.";
        return Err(GraphError::new(401, "Unauthorized", text));
    }
    let number = |text: &str| text.parse::<i64>().map_err(|_| super::teams::missing("The message"));
    match rest {
        ["messages"] => teams_read::messages(office, place, None, call),
        ["messages", "delta"] => teams_read::delta(office, place, call, now),
        ["messages", id] => teams_read::message(office, place, None, id, call),
        ["messages", root, "replies"] => teams_read::messages(office, place, Some(number(root)?), call),
        ["messages", root, "replies", id] => {
            teams_read::message(office, place, Some(number(root)?), id, call)
        }
        _ => Err(not_allowed()),
    }
}

/// Counts a call in its application's minute: headers from 80 % of it, 429 above.
pub(crate) fn metered(world: &World, call: &Call) -> (Option<Reply>, Vec<(HeaderName, String)>) {
    let mut office = world.office.office();
    let Some(limit) = office.switches.rate_limit_per_minute else { return (None, Vec::new()) };
    let account = call.account.clone().unwrap_or_default();
    let minute = office.usage.minute(&account, world.clock.now_ms());
    if u64::from(minute.used) * 10 < u64::from(limit) * 8 {
        return (None, Vec::new());
    }
    let left = limit.saturating_sub(minute.used);
    let headers = vec![
        (HeaderName::from_static("ratelimit-limit"), limit.to_string()),
        (HeaderName::from_static("ratelimit-remaining"), left.to_string()),
        (HeaderName::from_static("ratelimit-reset"), minute.reset.to_string()),
    ];
    let refused = (minute.used > limit).then(|| {
        Reply::error(GraphError::of_status(429)).with(http::header::RETRY_AFTER, &minute.reset.to_string())
    });
    (refused, headers)
}

/// What is not Graph: upload sessions of attachments, and workflow webhooks.
pub(crate) fn beside(world: &World, call: &Call) -> Option<Reply> {
    let now = world.clock.now_ms();
    if let Some(token) = call.path.strip_prefix("/_attach/") {
        let mut office = world.office.office();
        let outcome = attachments::serve(&mut office, &mut world.office.sessions(), token, call, now);
        if office.has_changes() {
            world.dirty.bell.notify_one();
        }
        return Some(outcome.unwrap_or_else(Reply::from));
    }
    let name = call.path.strip_prefix("/workflows/")?;
    let name = crate::http::decode(name);
    Some(world.office.office().workflows.take(&name, call, now).unwrap_or_else(Reply::from))
}

/// What discovery documents say of the signing keys.
pub(crate) fn openid(call: &Call, tenant: &str) -> Reply {
    Reply::json(
        200,
        &json!({
            "issuer": format!("https://sts.windows.net/{tenant}/"),
            "jwks_uri": format!("{}/common/discovery/v2.0/keys", call.origin),
            "token_endpoint": format!("{}/{tenant}/oauth2/v2.0/token", call.origin),
            "id_token_signing_alg_values_supported": ["RS256"],
        }),
    )
}
