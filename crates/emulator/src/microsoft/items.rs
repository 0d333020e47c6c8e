//! Reading and changing items, and the content of files.

use http::header::{ACCEPT_RANGES, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, Method};
use serde_json::Value;

use crate::http::{Body, Call, Reply};
use crate::microsoft::drive::{Conflict, Drive};
use crate::microsoft::errors::GraphError;
use crate::microsoft::item_json::{self, ItemWriter};
use crate::microsoft::names;
use crate::microsoft::preauth;
use crate::microsoft::select::Select;
use crate::microsoft::target::ItemRef;
use crate::microsoft::tree::{ROOT, flag};

/// Looks an address up.
pub(crate) fn resolve(drive: &Drive, address: &ItemRef) -> Result<u32, GraphError> {
    let start = match &address.id {
        None => ROOT,
        Some(id) => drive.find(id).ok_or_else(GraphError::not_found)?,
    };
    drive.tree.resolve(start, address.path.iter().map(String::as_str)).ok_or_else(GraphError::not_found)
}

/// Looks up the folder of an address and the name in it, which may not exist yet.
pub(crate) fn resolve_new(drive: &Drive, address: &ItemRef) -> Result<(u32, String), GraphError> {
    let Some((name, folders)) = address.path.split_last() else {
        let index = resolve(drive, address)?;
        let item = drive.tree.item(index);
        return Ok((item.parent, item.name.to_string()));
    };
    let folder = ItemRef { id: address.id.clone(), path: folders.to_vec() };
    let parent = resolve(drive, &folder)?;
    if !drive.tree.item(parent).is_folder() {
        return Err(GraphError::invalid("The parent is not a folder."));
    }
    Ok((parent, name.clone()))
}

/// An item with its context, status and tag.
pub(crate) fn reply(drive: &Drive, index: u32, status: u16, call: &Call, now: i64) -> Reply {
    let mut out = Vec::with_capacity(1024);
    let select = Select::parse(call.query("$select").as_deref());
    ItemWriter::new(drive, &call.origin, select, now).write(index, &mut out);
    let context = format!("{{\"@odata.context\":\"{}/v1.0/$metadata#driveItem\",", call.origin);
    out.splice(0..1, context.into_bytes());
    Reply::json_bytes(status, out).with(ETAG, &item_json::etag(drive, index))
}

fn tag_in(header: Option<&str>, tag: &str) -> bool {
    header.is_some_and(|list| {
        list.split(',').any(|one| {
            let one = one.trim();
            one == "*"
                || one.trim_start_matches("W/") == tag
                || one.trim_matches('"') == tag.trim_matches('"')
        }) || list.trim().trim_start_matches("W/") == tag
    })
}

/// Refuses when `If-Match` names neither tag of the item.
pub(crate) fn check_if_match(drive: &Drive, index: u32, call: &Call) -> Result<(), GraphError> {
    match call.header("if-match") {
        None => Ok(()),
        wanted => {
            let matches = tag_in(wanted, &item_json::etag(drive, index))
                || wanted == Some(&item_json::ctag(drive, index));
            if matches { Ok(()) } else { Err(GraphError::tag_mismatch()) }
        }
    }
}

pub(crate) fn get(drive: &Drive, index: u32, call: &Call, now: i64) -> Reply {
    let etag = item_json::etag(drive, index);
    let known = call.header("if-none-match");
    if known.is_some_and(|known| {
        known == etag || known.trim_matches('"') == etag.trim_matches('"') || known == "*"
    }) {
        return Reply::empty(304).with(ETAG, &etag);
    }
    reply(drive, index, 200, call, now)
}

/// `PATCH`: rename, move, or both.
pub(crate) fn patch(drive: &mut Drive, index: u32, call: &Call, now: i64) -> Result<Reply, GraphError> {
    check_if_match(drive, index, call)?;
    let body = call.json()?;
    let item = drive.tree.item(index);
    let name = body["name"].as_str().map_or_else(|| item.name.to_string(), ToOwned::to_owned);
    let parent = match body.get("parentReference") {
        None => item.parent,
        Some(reference) => new_parent(drive, reference)?,
    };
    let name = match Conflict::parse(conflict_of(&body), Conflict::Fail)? {
        Conflict::Fail => name,
        Conflict::Rename if drive.tree.child(parent, &name).is_none_or(|other| other == index) => name,
        Conflict::Rename => drive.free_name(parent, &name, item.is_folder()),
        Conflict::Replace => {
            if let Some(other) = drive.tree.child(parent, &name).filter(|other| *other != index) {
                drive.delete(other, now)?;
            }
            name
        }
    };
    drive.relocate(index, parent, &name, now)?;
    Ok(reply(drive, index, 200, call, now))
}

fn new_parent(drive: &Drive, reference: &Value) -> Result<u32, GraphError> {
    if let Some(other) = reference["driveId"].as_str()
        && other != drive.id
    {
        return Err(GraphError::invalid("Items cannot be moved to another drive; copy and delete instead."));
    }
    let found = if let Some(id) = reference["id"].as_str() {
        drive.find(id)
    } else if let Some(path) = reference["path"].as_str() {
        let relative = path.split_once("root:").map_or("", |(_, relative)| relative);
        let names: Vec<String> =
            relative.split('/').filter(|name| !name.is_empty()).map(crate::http::decode).collect();
        drive.tree.resolve(ROOT, names.iter().map(String::as_str))
    } else {
        return Err(GraphError::invalid("parentReference names neither id nor path."));
    };
    found.filter(|index| drive.tree.item(*index).is_folder()).ok_or_else(GraphError::not_found)
}

/// The conflict behaviour that a JSON body asks for.
pub(crate) fn conflict_of(body: &Value) -> Option<&str> {
    body.get("@microsoft.graph.conflictBehavior").or_else(|| body.get("@name.conflictBehavior"))?.as_str()
}

/// `POST …/children`: a new folder.
pub(crate) fn create_child(
    drive: &mut Drive,
    parent: u32,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    if !drive.tree.item(parent).is_folder() {
        return Err(GraphError::invalid("The parent is not a folder."));
    }
    let body = call.json()?;
    let name = body["name"].as_str().ok_or_else(|| GraphError::invalid("The name is missing."))?;
    let conflict = Conflict::parse(conflict_of(&body), Conflict::Fail)?;
    let index = if body.get("folder").is_some_and(Value::is_object) {
        drive.create_folder(parent, name, conflict, now)?
    } else if body.get("file").is_some_and(Value::is_object) {
        drive.put_file(parent, name, &bytes::Bytes::new(), conflict, now)?.0
    } else {
        return Err(GraphError::invalid("The item must be a folder or a file."));
    };
    Ok(reply(drive, index, 201, call, now))
}

pub(crate) fn delete(drive: &mut Drive, index: u32, call: &Call, now: i64) -> Result<Reply, GraphError> {
    check_if_match(drive, index, call)?;
    drive.delete(index, now)?;
    Ok(Reply::empty(204))
}

/// `PUT …/content`: a small file, new or replaced.
pub(crate) fn put_content(
    drive: &mut Drive,
    address: &ItemRef,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let (parent, name) = resolve_new(drive, address)?;
    if let Some(existing) = drive.tree.child(parent, &name) {
        check_if_match(drive, existing, call)?;
    }
    let asked = call.query("@microsoft.graph.conflictBehavior");
    let conflict = Conflict::parse(asked.as_deref(), Conflict::Replace)?;
    let (index, new) = drive.put_file(parent, &name, &call.body, conflict, now)?;
    Ok(reply(drive, index, if new { 201 } else { 200 }, call, now))
}

/// `GET …/content`: the way to a pre-authenticated URL.
pub(crate) fn content_redirect(
    drive: &Drive,
    index: u32,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let item = drive.tree.item(index);
    if item.is_folder() || item.has(flag::PACKAGE | flag::REMOTE) {
        return Err(GraphError::new(400, "notSupported", "The item has no content."));
    }
    if item.has(flag::MALWARE) {
        return Err(GraphError::new(403, "accessDenied", "Malware was detected in the file.")
            .inner("malwareDetected"));
    }
    let mut url = Vec::with_capacity(200);
    preauth::write_download_url(drive, index, &call.origin, now, &mut url);
    let url = String::from_utf8_lossy(&url).into_owned();
    Ok(Reply::empty(302).with(LOCATION, &url).with(CONTENT_LOCATION, &url))
}

/// A pre-authenticated URL: bytes or a range of them, without a bearer token.
pub(crate) fn download(drive: &Drive, id: &str, call: &Call, now: i64) -> Reply {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return GraphError::new(405, "invalidRequest", "Only GET is possible here.").into();
    }
    let Some(index) = drive.find(id).filter(|index| !drive.tree.item(*index).is_folder()) else {
        return GraphError::not_found().into();
    };
    let tempauth = call.query("tempauth").unwrap_or_default();
    if !preauth::opens(drive, index, &tempauth, now) {
        return GraphError::new(401, "unauthenticated", "The URL has expired or is not valid.").into();
    }
    let item = drive.tree.item(index);
    if item.has(flag::MALWARE) {
        return Reply::error(GraphError::of_status(403))
            .with(HeaderName::from_static("x-virus-infected"), "true");
    }
    let (status, offset, length) = match range(call.header("range"), item.size) {
        Ok(None) => (200, 0, item.size),
        Ok(Some((from, to))) => (206, from, to - from + 1),
        Err(()) => {
            return Reply::error(GraphError::of_status(416))
                .with(CONTENT_RANGE, &format!("bytes */{}", item.size));
        }
    };
    let mut reply = Reply::empty(status)
        .with(CONTENT_TYPE, names::mime_type(&item.name))
        .with(ACCEPT_RANGES, "bytes")
        .with(ETAG, &item_json::etag(drive, index));
    if status == 206 {
        reply = reply.with(CONTENT_RANGE, &format!("bytes {offset}-{}/{}", offset + length - 1, item.size));
    }
    if length > 0 && call.method == Method::GET {
        reply.body = Body::Range { content: drive.content(index), offset, length };
    }
    reply
}

/// First and last byte of a single range; `None` when there is no range (or one that is to be ignored).
fn range(header: Option<&str>, size: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some(spec) = header.and_then(|text| text.strip_prefix("bytes=")).filter(|spec| !spec.contains(','))
    else {
        return Ok(None);
    };
    let Some((from, to)) = spec.split_once('-') else { return Ok(None) };
    let last = size.checked_sub(1).ok_or(())?;
    match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to && from <= last => Ok(Some((from, to.min(last)))),
        (Ok(from), Err(_)) if to.trim().is_empty() && from <= last => Ok(Some((from, last))),
        (Err(_), Ok(count)) if from.trim().is_empty() && count > 0 => {
            Ok(Some((size.saturating_sub(count), last)))
        }
        (Ok(_), _) => Err(()),
        _ => Ok(None),
    }
}
