//! Reading mail: folders, lists of messages, single ones.

use http::Method;
use serde_json::{Map, Value, json};

use super::filter;
use super::mailbox::{Mailbox, TEAMS};
use super::message::Message;
use super::model::{Office, User};
use super::view::{self, Page};
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;
use crate::microsoft::office::ids;

const DEFAULT_PAGE: usize = 10;
const MAX_PAGE: usize = 1000;

fn user_json(user: &User) -> Value {
    let (given, surname) = user.name.split_once(' ').unwrap_or((user.name.as_str(), ""));
    json!({
        "id": user.id,
        "displayName": user.name,
        "givenName": given,
        "surname": surname,
        "mail": user.upn,
        "userPrincipalName": user.upn,
        "accountEnabled": user.enabled,
        "businessPhones": [],
        "jobTitle": null,
        "mobilePhone": null,
        "officeLocation": null,
        "preferredLanguage": null,
    })
}

/// `GET /users`.
pub(crate) fn users(office: &Office, call: &Call) -> Reply {
    let select = view::selected(call.query("$select").as_deref());
    let all: Vec<Value> = office
        .users
        .values()
        .map(|user| {
            let mut shown = user_json(user);
            if let Value::Object(map) = &mut shown {
                view::keep(map, select.as_ref());
            }
            shown
        })
        .collect();
    let top = call.query("$top").and_then(|top| top.parse().ok()).unwrap_or(100).clamp(1, 999);
    paged(call, "users", all, top, "$skiptoken").reply(call)
}

/// `GET /users/{id}`.
pub(crate) fn user(office: &Office, who: &str, call: &Call) -> Result<Reply, GraphError> {
    let missing = |_| {
        GraphError::new(
            404,
            "Request_ResourceNotFound",
            format!(
                "Resource '{who}' does not exist or one of its queried reference-property objects are not present."
            ),
        )
    };
    let mut shown = user_json(office.user(who).map_err(missing)?);
    if let Value::Object(map) = &mut shown {
        view::keep(map, view::selected(call.query("$select").as_deref()).as_ref());
        map.insert("@odata.context".into(), json!(format!("{}/v1.0/$metadata#users/$entity", call.origin)));
    }
    Ok(Reply::json(200, &shown))
}

/// Cuts a page out of a whole list; the place is a number in `option`.
pub(crate) fn paged(call: &Call, context: &str, all: Vec<Value>, top: usize, option: &str) -> Page {
    let skip: usize = call.query(option).and_then(|skip| skip.parse().ok()).unwrap_or_default();
    let count = all.len();
    let wanted = call.query("$count").as_deref() == Some("true");
    let value: Vec<Value> = all.into_iter().skip(skip).take(top).collect();
    let end = skip + value.len();
    let next = (end < count).then(|| view::link(call, &[], &[(option, &end.to_string())]));
    Page { context: context.to_owned(), value, next, delta: None, count: wanted.then_some(count) }
}

/// `GET …/mailFolders` and `…/childFolders`.
pub(crate) fn folders(
    mailbox: &Mailbox,
    user: &str,
    parent: Option<&str>,
    call: &Call,
) -> Result<Reply, GraphError> {
    let hidden = call.query("includeHiddenFolders").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let parent = parent.map(|name| mailbox.folder(name)).transpose()?;
    let select = view::selected(call.query("$select").as_deref());
    let all = mailbox.children(parent, hidden).into_iter().filter_map(|key| {
        let mut shown = mailbox.folder_json(key)?;
        if let Value::Object(map) = &mut shown {
            view::keep(map, select.as_ref());
        }
        Some(shown)
    });
    let top = call.query("$top").and_then(|top| top.parse().ok()).unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    Ok(paged(call, &format!("users('{user}')/mailFolders"), all.collect(), top, "$skip").reply(call))
}

/// One folder; also what a change of it answers.
pub(crate) fn folder(mailbox: &Mailbox, key: u32, status: u16, call: &Call) -> Result<Reply, GraphError> {
    let mut shown = mailbox.folder_json(key).ok_or_else(super::mailbox::not_found)?;
    shown["@odata.context"] = json!(format!("{}/v1.0/$metadata#users/mailFolders/$entity", call.origin));
    Ok(Reply::json(status, &shown))
}

/// What a folder accepts in POST and PATCH.
pub(crate) fn folder_write(
    mailbox: &mut Mailbox,
    parent: Option<&str>,
    folder: Option<&str>,
    call: &Call,
) -> Result<Reply, GraphError> {
    let key = folder.map(|name| mailbox.folder(name)).transpose()?;
    match (&call.method, key) {
        (&Method::DELETE, Some(key)) => mailbox.drop_folder(key).map(|()| Reply::empty(204)),
        (&Method::PATCH, Some(key)) => {
            let body = call.json()?;
            if let (Some(name), Some(folder)) = (body["displayName"].as_str(), mailbox.folders.get_mut(&key))
            {
                name.clone_into(&mut folder.name);
            }
            mailbox.touch_folder(key);
            self::folder(mailbox, key, 200, call)
        }
        (&Method::POST, None) => {
            let body = call.json()?;
            let name = body["displayName"].as_str().ok_or_else(|| {
                GraphError::new(400, "ErrorInvalidRequest", "The folder needs a displayName.")
            })?;
            let parent = mailbox.folder(parent.unwrap_or("msgfolderroot"))?;
            let key = mailbox.add_folder(parent, name, body["isHidden"].as_bool().unwrap_or_default())?;
            self::folder(mailbox, key, 201, call)
        }
        _ => Err(super::not_allowed()),
    }
}

/// A message with what the query wants to see of it.
pub(crate) fn shown(mailbox: &Mailbox, message: &Message, call: &Call) -> Map<String, Value> {
    let immutable = view::immutable(call);
    let text = view::prefers(call, "outlook.body-content-type=text");
    let mut map = message.json(mailbox.salt, immutable, text);
    view::keep(&mut map, view::selected(call.query("$select").as_deref()).as_ref());
    let expand = call.query("$expand").unwrap_or_default();
    if expand.contains("singleValueExtendedProperties") {
        // The filter of the expansion names the ids; those that it does not name stay away.
        let wanted = |id: &str| !expand.contains("eq '") || expand.contains(&format!("eq '{id}'"));
        let properties: Vec<Value> = message
            .extended
            .iter()
            .filter(|(id, _)| wanted(id))
            .map(|(id, value)| json!({"id": id, "value": value}))
            .collect();
        if !properties.is_empty() {
            map.insert("singleValueExtendedProperties".into(), json!(properties));
        }
    }
    if expand.contains("attachments") {
        let id = ids::message(mailbox.salt, message.key, message.moves, immutable);
        let files: Vec<Value> = message.attachments.iter().map(|one| one.json(&id, true)).collect();
        map.insert("attachments".into(), json!(files));
    }
    map
}

/// One message as an answer.
pub(crate) fn message(mailbox: &Mailbox, key: u64, status: u16, call: &Call) -> Result<Reply, GraphError> {
    let message = mailbox.messages.get(&key).ok_or_else(super::mailbox::not_found)?;
    let mut map = shown(mailbox, message, call);
    let context =
        format!("{}/v1.0/$metadata#users('{}')/messages/$entity", call.origin, mailbox.owner.address);
    map.insert("@odata.context".into(), json!(context));
    Ok(view::applied(Reply::json(status, &Value::Object(map)), call))
}

/// `GET …/messages`, of a folder or of the mailbox.
pub(crate) fn messages(
    office: &Office,
    user: &str,
    folder: Option<&str>,
    call: &Call,
) -> Result<Reply, GraphError> {
    let mailbox = &office.user(user)?.mailbox;
    let folder = folder.map(|name| mailbox.folder(name)).transpose()?;
    let clauses = call.query("$filter").map(|text| filter::parse(&text)).transpose()?.unwrap_or_default();
    if let Some(search) = call.query("$search") {
        return Err(GraphError::new(400, "SearchNotSupported", format!("$search is not modelled: {search}")));
    }
    let (property, ascending) = order(call.query("$orderby").as_deref())?;
    let time = |message: &Message| match property.as_str() {
        "sentDateTime" => message.sent_ms,
        "lastModifiedDateTime" => message.modified_ms,
        "createdDateTime" => message.created_ms,
        _ => message.received_ms,
    };
    let mut found: Vec<&Message> = Vec::new();
    for message in mailbox.messages.values() {
        let here = match folder {
            Some(key) => message.folder == key,
            // The whole mailbox shows no records of Teams, but for the known issue.
            None => message.folder != TEAMS || office.switches.im_messages,
        };
        if here && filter::matches(&clauses, message)? {
            found.push(message);
        }
    }
    found.sort_unstable_by_key(|message| (time(message), message.key));
    if !ascending {
        found.reverse();
    }
    let top = call.query("$top").and_then(|top| top.parse().ok()).or_else(|| view::page_size(call));
    let top = top.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let skip: usize = call.query("$skip").and_then(|skip| skip.parse().ok()).unwrap_or_default();
    let count = (call.query("$count").as_deref() == Some("true")).then_some(found.len());
    let value: Vec<Value> = found
        .iter()
        .skip(skip)
        .take(top)
        .map(|message| Value::Object(shown(mailbox, message, call)))
        .collect();
    let end = skip + value.len();
    let cut = office.switches.drop_next_link_after.is_some_and(|pages| end >= top * pages as usize);
    let next = (end < found.len() && !cut).then(|| view::link(call, &[], &[("$skip", &end.to_string())]));
    let context = format!("users('{user}')/messages");
    Ok(Page { context, value, next, delta: None, count }.reply(call))
}

/// Property and direction of `$orderby`; newest first without one.
fn order(text: Option<&str>) -> Result<(String, bool), GraphError> {
    let Some(text) = text.and_then(|text| text.split(',').next()) else {
        return Ok(("receivedDateTime".into(), false));
    };
    let mut words = text.split_whitespace();
    let property = words.next().unwrap_or_default();
    let ascending = !words.next().is_some_and(|word| word.eq_ignore_ascii_case("desc"));
    let known = ["receivedDateTime", "sentDateTime", "lastModifiedDateTime", "createdDateTime"];
    if !known.contains(&property) {
        return Err(GraphError::new(
            400,
            "BadRequest",
            format!("$orderby: '{property}' cannot be sorted by."),
        ));
    }
    Ok((property.to_owned(), ascending))
}
