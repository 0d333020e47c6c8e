//! Files in mails: small ones in one call, large ones by an upload session.

use std::collections::HashMap;

use bytes::BytesMut;
use http::Method;
use http::header::LOCATION;
use serde_json::json;

use super::ids;
use super::message::{Attachment, seconds};
use super::model::Office;
use super::view::{self, Page};
use crate::http::{Body, Call, Reply};
use crate::microsoft::errors::GraphError;

/// Largest attachment of one POST; larger ones need a session (outlook-large-attachments).
const SMALL: usize = 3 * 1024 * 1024;
/// Largest attachment at all.
const LARGE: u64 = 150 * 1024 * 1024;
/// Largest piece of a session.
const PIECE: usize = 4 * 1024 * 1024;
const MAX_SESSIONS: usize = 1000;
const SESSION_MS: i64 = 3_600_000;

#[derive(Debug)]
struct Session {
    user: String,
    key: u64,
    name: String,
    content_type: String,
    size: u64,
    inline: bool,
    received: BytesMut,
    expires_ms: i64,
}

/// The open sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions(HashMap<String, Session>);

fn invalid(text: &str) -> GraphError {
    GraphError::new(400, "ErrorInvalidRequest", text)
}

/// `…/messages/{m}/attachments`.
pub(crate) fn list(
    office: &mut Office,
    user: &str,
    id: &str,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let user = office.user_id(user)?;
    let key = office.user(&user)?.mailbox.find(id)?;
    if call.method == Method::GET {
        let select = view::selected(call.query("$select").as_deref());
        let message = &office.user(&user)?.mailbox.messages[&key];
        let value = message.attachments.iter().map(|one| {
            let mut shown = one.json(id, true);
            if let serde_json::Value::Object(map) = &mut shown {
                view::keep(map, select.as_ref());
            }
            shown
        });
        let context = format!("users('{user}')/messages('{id}')/attachments");
        return Ok(Page { context, value: value.collect(), ..Page::default() }.reply(call));
    }
    if call.method != Method::POST {
        return Err(super::not_allowed());
    }
    let body = call.json()?;
    let number = office.user(&user)?.mailbox.messages[&key].next_attachment();
    let attachment = Attachment::parse(&body, number, now)?;
    if attachment.bytes.len() > SMALL {
        let text = "The message exceeds the maximum supported size.";
        return Err(GraphError::new(413, "ErrorMessageSizeExceeded", text));
    }
    let shown = attachment.json(id, true);
    office.change_mail(&user, key, now, |message| {
        message.attachments.push(attachment);
        Ok(())
    })?;
    Ok(Reply::json(201, &shown))
}

/// `…/attachments/{a}` and its `$value`.
pub(crate) fn one(
    office: &mut Office,
    user: &str,
    id: &str,
    attachment: &str,
    raw: bool,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let user = office.user_id(user)?;
    let key = office.user(&user)?.mailbox.find(id)?;
    let message = &office.user(&user)?.mailbox.messages[&key];
    let found = message.attachments.iter().find(|one| attachment.ends_with(&format!("{:04}=", one.number)));
    let found = found.ok_or_else(super::mailbox::not_found)?;
    match call.method {
        Method::GET if raw => {
            let mut reply = Reply::empty(200).with(http::header::CONTENT_TYPE, &found.content_type);
            reply.body = Body::Bytes(found.bytes.clone());
            Ok(reply)
        }
        Method::GET => Ok(Reply::json(200, &found.json(id, true))),
        Method::DELETE => {
            let number = found.number;
            office.change_mail(&user, key, now, |message| {
                message.attachments.retain(|one| one.number != number);
                Ok(())
            })?;
            Ok(Reply::empty(204))
        }
        _ => Err(super::not_allowed()),
    }
}

/// `POST …/attachments/createUploadSession`.
pub(crate) fn open(
    office: &Office,
    sessions: &mut Sessions,
    user: &str,
    id: &str,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let user = office.user_id(user)?;
    let key = office.user(&user)?.mailbox.find(id)?;
    let body = call.json()?;
    let item =
        if body["AttachmentItem"].is_null() { &body["attachmentItem"] } else { &body["AttachmentItem"] };
    let (Some(name), Some(size)) = (item["name"].as_str(), item["size"].as_u64()) else {
        return Err(invalid("AttachmentItem needs attachmentType, name and size."));
    };
    if size > LARGE {
        return Err(GraphError::new(
            400,
            "ErrorAttachmentSizeShouldNotBeGreaterThanMaximumSize",
            "The attachment is too large.",
        ));
    }
    if (size as usize) < SMALL {
        return Err(GraphError::new(
            400,
            "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
            "Attachment size must be greater than the minimum size.",
        ));
    }
    sessions.0.retain(|_, session| session.expires_ms > now);
    if sessions.0.len() >= MAX_SESSIONS {
        return Err(GraphError::of_status(429));
    }
    let token = chassis::ids::new_id().simple().to_string();
    let session = Session {
        user,
        key,
        name: name.to_owned(),
        content_type: item["contentType"].as_str().unwrap_or("application/octet-stream").to_owned(),
        size,
        inline: item["isInline"].as_bool().unwrap_or_default(),
        received: BytesMut::new(),
        expires_ms: now + SESSION_MS,
    };
    sessions.0.insert(token.clone(), session);
    Ok(Reply::json(
        201,
        &json!({
            "@odata.context": format!("{}/v1.0/$metadata#microsoft.graph.uploadSession", call.origin),
            "uploadUrl": format!("{}/_attach/{token}?authtoken={token}", call.origin),
            "expirationDateTime": seconds(now + SESSION_MS),
            "nextExpectedRanges": ["0-"],
        }),
    ))
}

/// First byte, last byte and total of `bytes a-b/n`.
fn range(text: &str) -> Option<(u64, u64, u64)> {
    let (place, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = place.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
}

/// `PUT`, `GET` and `DELETE` of a session's own address.
pub(crate) fn serve(
    office: &mut Office,
    sessions: &mut Sessions,
    token: &str,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let missing = || GraphError::new(404, "ErrorItemNotFound", "The upload session was not found.");
    let session = sessions.0.get_mut(token).filter(|session| session.expires_ms > now).ok_or_else(missing)?;
    let progress = |session: &Session| {
        json!({
            "ExpirationDateTime": seconds(session.expires_ms),
            "NextExpectedRanges": [session.received.len().to_string()],
        })
    };
    match call.method {
        Method::GET => return Ok(Reply::json(200, &progress(session))),
        Method::DELETE => {
            sessions.0.remove(token);
            return Ok(Reply::empty(204));
        }
        Method::PUT => {}
        _ => return Err(super::not_allowed()),
    }
    let (first, last, total) = call
        .header("content-range")
        .and_then(range)
        .ok_or_else(|| invalid("Content-Range must be 'bytes first-last/total'."))?;
    if total != session.size || last < first || last - first + 1 != call.body.len() as u64 {
        return Err(invalid("The range does not fit the session or the body."));
    }
    if call.body.len() > PIECE {
        return Err(GraphError::new(413, "RequestEntityTooLarge", "A piece can have 4 MB at most."));
    }
    if first != session.received.len() as u64 {
        return Err(GraphError::new(416, "ErrorInvalidRange", "The range is not the next one expected."));
    }
    session.received.extend_from_slice(&call.body);
    if (session.received.len() as u64) < session.size {
        return Ok(Reply::json(200, &progress(session)));
    }
    let session = sessions.0.remove(token).ok_or_else(missing)?;
    let (user, key) = (session.user, session.key);
    let mut number = 0;
    office.change_mail(&user, key, now, |message| {
        number = message.next_attachment();
        message.attachments.push(Attachment {
            number,
            name: session.name,
            content_type: session.content_type,
            inline: session.inline,
            bytes: session.received.freeze(),
            modified_ms: now,
        });
        Ok(())
    })?;
    let salt = office.user(&user)?.mailbox.salt;
    let message = ids::message(salt, key, 0, true);
    let id = format!("{}{number:04}=", message.trim_end_matches('='));
    let location = format!("{}/v1.0/users/{user}/messages/{message}/attachments/{id}", call.origin);
    Ok(Reply::empty(201).with(LOCATION, &location))
}
