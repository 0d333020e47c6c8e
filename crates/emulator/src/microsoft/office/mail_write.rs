//! Writing mail: drafts, changes, moves, and sending.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ids;
use super::mail_read;
use super::mailbox::{DRAFTS, SENT};
use super::message::{Message, Person, hex};
use super::model::{Office, Outgoing};
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;

/// `POST …/messages`: a draft, wherever it is put.
pub(crate) fn create(
    office: &mut Office,
    user: &str,
    folder: Option<&str>,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let body = call.json()?;
    let mailbox = &office.user(user)?.mailbox;
    let folder = folder.map_or(Ok(DRAFTS), |name| mailbox.folder(name))?;
    let mut draft = Message::draft(&mailbox.owner, now);
    draft.apply(&body, now)?;
    let user = office.user_id(user)?;
    let key = office.put_mail(&user, folder, draft)?;
    mail_read::message(&office.user(&user)?.mailbox, key, 201, call)
}

/// `GET`, `PATCH` and `DELETE` of one message.
pub(crate) fn one(
    office: &mut Office,
    user: &str,
    id: &str,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let user = office.user_id(user)?;
    let key = office.user(&user)?.mailbox.find(id)?;
    match call.method {
        Method::GET => mail_read::message(&office.user(&user)?.mailbox, key, 200, call),
        Method::PATCH => {
            let body = call.json()?;
            if let Some(wanted) = call.header("if-match") {
                let map = office.user(&user)?.mailbox.messages[&key].json(0, true, false);
                if wanted != "*" && map.get("@odata.etag").and_then(Value::as_str) != Some(wanted) {
                    let text = "The change key passed in the request does not match the current change key.";
                    return Err(GraphError::new(412, "ErrorIrresolvableConflict", text));
                }
            }
            office.change_mail(&user, key, now, |message| message.apply(&body, now))?;
            mail_read::message(&office.user(&user)?.mailbox, key, 200, call)
        }
        Method::DELETE => {
            office.delete_mail(&user, key, false, now)?;
            Ok(Reply::empty(204))
        }
        _ => Err(super::not_allowed()),
    }
}

/// `move`, `copy`, `permanentDelete`, `send`.
pub(crate) fn act(
    office: &mut Office,
    user: &str,
    id: &str,
    action: &str,
    call: &Call,
    now: i64,
) -> Result<Reply, GraphError> {
    let user = office.user_id(user)?;
    let mailbox = &office.user(&user)?.mailbox;
    let key = mailbox.find(id)?;
    match action {
        "send" => send(office, &user, key, now),
        "permanentDelete" => {
            office.delete_mail(&user, key, true, now)?;
            Ok(Reply::empty(204))
        }
        _ => {
            let body = call.json()?;
            let to = body["destinationId"]
                .as_str()
                .ok_or_else(|| GraphError::new(400, "ErrorInvalidRequest", "destinationId is required."))?;
            let to = mailbox.folder(to)?;
            let key = if action == "copy" {
                let copy = mailbox.messages.get(&key).cloned().ok_or_else(super::mailbox::not_found)?;
                office.put_mail(&user, to, copy)?
            } else {
                office.move_mail(&user, key, to, now)?;
                key
            };
            mail_read::message(&office.user(&user)?.mailbox, key, 201, call)
        }
    }
}

/// A draft leaves: it is in Sent Items from now on, with the immutable id that it had.
fn send(office: &mut Office, user: &str, key: u64, now: i64) -> Result<Reply, GraphError> {
    let draft = office.user(user)?.mailbox.messages.get(&key).ok_or_else(super::mailbox::not_found)?;
    if !draft.is_draft {
        let text = "The message cannot be sent: it is not a draft, it has been sent already.";
        return Err(GraphError::new(400, "ErrorInvalidOperation", text));
    }
    if draft.recipients().next().is_none() {
        let text =
            "At least one recipient isn't valid., A message can't be sent because it contains no recipients.";
        return Err(GraphError::new(400, "ErrorInvalidRecipients", text));
    }
    office.user_mut(user)?.mailbox.change(key, now, |message| {
        (message.is_draft, message.sent_ms, message.received_ms) = (false, now, now);
        Ok(())
    })?;
    office.move_mail(user, key, SENT, now)?;
    let sent = office.user(user)?.mailbox.messages[&key].clone();
    leave(office, user, &sent, "send", now);
    Ok(Reply::empty(202))
}

/// Writes a mail that leaves into the list, and brings it to those who are here.
fn leave(office: &mut Office, user: &str, sent: &Message, via: &'static str, now: i64) {
    let salt = office.user(user).map(|user| user.mailbox.salt).unwrap_or_default();
    let attachments = sent.attachments.iter().map(|one| {
        let hash = hex(&Sha256::digest(&one.bytes));
        json!({"name": one.name, "size": one.bytes.len(), "sha256": hash})
    });
    let outgoing = Outgoing {
        number: office.outgoing.len() + 1,
        time_ms: now,
        user: user.to_owned(),
        via,
        message_id: ids::message(salt, sent.key, sent.moves, true),
        internet_message_id: sent.internet_message_id.clone(),
        subject: sent.subject.clone(),
        to: sent.recipients().map(|person| person.address.clone()).collect(),
        attachments: attachments.collect(),
        extended: sent.extended.iter().cloned().collect(),
    };
    office.outgoing.push(outgoing);
    office.deliver(sent, now);
}

/// `POST /users/{u}/sendMail`, JSON or base64 MIME: 202 and nothing that could be looked up.
pub(crate) fn send_mail(office: &mut Office, user: &str, call: &Call, now: i64) -> Result<Reply, GraphError> {
    let user = office.user_id(user)?;
    let mut message = Message::draft(&office.user(&user)?.mailbox.owner, now);
    let mut save = true;
    if call.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")) {
        mime(&mut message, &call.body)?;
    } else {
        let body = call.json()?;
        message.apply(&body["message"], now)?;
        save = body["saveToSentItems"].as_bool().unwrap_or(true);
    }
    if message.recipients().next().is_none() {
        let text =
            "At least one recipient isn't valid., A message can't be sent because it contains no recipients.";
        return Err(GraphError::new(400, "ErrorInvalidRecipients", text));
    }
    message.is_draft = false;
    let serial = office.serial();
    if message.internet_message_id.is_empty() {
        message.internet_message_id = format!("<{serial:016x}.{now:x}@emulator.example>");
    }
    if save {
        let key = office.put_mail(&user, SENT, message)?;
        message = office.user(&user)?.mailbox.messages[&key].clone();
    }
    leave(office, &user, &message, "sendMail", now);
    Ok(Reply::empty(202))
}

/// The headers and the text of a simple MIME mail in base64.
fn mime(message: &mut Message, body: &[u8]) -> Result<(), GraphError> {
    let invalid =
        || GraphError::new(400, "ErrorMimeContentInvalid", "Invalid base64 string for MIME content.");
    let packed: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let text = STANDARD.decode(packed).map_err(|_| invalid())?;
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
    let (head, content) = text.split_once("\n\n").ok_or_else(invalid)?;
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        let people = || value.split(',').map(|one| Person::of(one.trim().trim_matches(['<', '>']))).collect();
        match name.to_ascii_lowercase().as_str() {
            "subject" => value.trim().clone_into(&mut message.subject),
            "to" => message.to = people(),
            "cc" => message.cc = people(),
            "message-id" => value.trim().clone_into(&mut message.internet_message_id),
            _ => {}
        }
    }
    content.clone_into(&mut message.body);
    Ok(())
}
