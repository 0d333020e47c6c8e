//! `POST /api/messages/send`

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contracts::jobs::SendMessage;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::jobs::{NewJob, enqueue};
use store::outgoing::{self, OutgoingFile};
use store::{Tx, mailboxes};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Operator;
use web::problem::{FieldError, Problem};

use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Recipients of one mail (Exchange's limit).
const MAX_RECIPIENTS: usize = 500;
/// Files of one mail.
const MAX_FILES: usize = 20;
/// Characters of a subject (Exchange's limit).
const MAX_SUBJECT: usize = 255;
/// Bytes of a card (incoming webhooks take 28 KB).
const MAX_CARD: usize = 28_000;

/// A mail or a card: exactly one of both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    mail: Option<MailSending>,
    card: Option<CardSending>,
    /// Why, for those who look later.
    reason: Option<String>,
}

/// A mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailSending {
    /// Registered mailbox that sends: address or user id.
    from: String,
    to: Vec<Recipient>,
    #[serde(default)]
    cc: Vec<Recipient>,
    #[serde(default)]
    bcc: Vec<Recipient>,
    #[serde(default)]
    reply_to: Vec<Recipient>,
    subject: String,
    /// `text` (default) or `html`
    body_type: Option<String>,
    body: String,
    /// `low`, `normal` (default) or `high`
    importance: Option<String>,
    #[serde(default)]
    attachments: Vec<FileSending>,
}

/// Whom to write to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    address: String,
    #[serde(default)]
    name: String,
}

/// A file of a mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSending {
    name: String,
    /// MIME type (`application/octet-stream`).
    content_type: Option<String>,
    content_base64: String,
}

/// A card for Teams.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardSending {
    /// Name of a Teams workflow in the connector's `TEAMS_WORKFLOW_URLS`.
    workflow: String,
    /// The adaptive card.
    #[schema(value_type = Object)]
    card: Value,
}

/// What was taken to be sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct Taken {
    id: Uuid,
    job_id: Uuid,
    state: &'static str,
    /// Where it can be followed.
    location: String,
}

/// Takes a mail or a card to be sent, once; follow it at its location. Send an Idempotency-Key
#[utoipa::path(post, path = "/api/messages/send", tag = "messages", request_body = Sending, responses(
    (status = 202, description = "It will be sent", body = Taken),
    (status = 422, description = "It cannot be sent so", body = web::problem::ProblemBody),
))]
pub async fn send(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let sending: Sending = call.json()?;
    let reason = actor.reason(sending.reason.as_deref())?;
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let (kind, sender, payload, files) = match (sending.mail, sending.card) {
        (Some(mail), None) => {
            let (sender, payload, files) = of_mail(tx, company, mail).await?;
            ("mail", sender, payload, files)
        }
        (None, Some(card)) => {
            check_card(&card)?;
            ("card", card.workflow, json!({ "card": card.card }), Vec::new())
        }
        _ => return Err(wrong("mail", "give either a mail or a card").into()),
    };
    let id = outgoing::create(tx, company, (kind, &sender), &payload, &files, &claims.sub).await?;
    let job = send_job(company, id, &claims.sub)?;
    let job_id = enqueue(tx, job).await?.id().uuid();
    let details = json!({ "kind": kind, "sender": sender, "job_id": job_id, "files": files.len() });
    actor.record(tx, company, "messages.send", format!("message:{id}"), reason, details).await?;
    let location = format!("/api/messages/outbox/{id}");
    let taken = Taken { id, job_id, state: "pending", location: location.clone() };
    operation.accepted(Some(&location), &taken).await
}

/// The job that carries a sending; one at a time, and one that waits is enough.
pub(super) fn send_job(company: domain::ids::CompanyId, id: Uuid, by: &str) -> store::Result<NewJob> {
    let key = format!("outbox:{id}");
    Ok(NewJob::new(company, &SendMessage { outbox_id: id }, by)?.dedupe(&*key).resource(&*key).priority(9))
}

fn wrong(field: &str, message: impl Into<String>) -> Problem {
    Problem::unprocessable(vec![FieldError::new(field, message)])
}

fn check_card(card: &CardSending) -> Result<(), Problem> {
    if card.workflow.is_empty() || card.workflow.len() > 100 {
        return Err(wrong("card.workflow", "is the name of a workflow, 1 to 100 characters"));
    }
    if card.card["type"] != "AdaptiveCard" {
        return Err(wrong("card.card", "is an object of type AdaptiveCard"));
    }
    if card.card.to_string().len() > MAX_CARD {
        return Err(wrong("card.card", format!("has at most {MAX_CARD} bytes")));
    }
    Ok(())
}

async fn of_mail(
    tx: &mut Tx,
    company: domain::ids::CompanyId,
    mail: MailSending,
) -> Answer<(String, Value, Vec<OutgoingFile>)> {
    let all = || mail.to.iter().chain(&mail.cc).chain(&mail.bcc);
    if all().count() == 0 || all().count() > MAX_RECIPIENTS {
        return Err(wrong("mail.to", format!("needs 1 to {MAX_RECIPIENTS} recipients in all")).into());
    }
    if let Some(bad) = all().chain(&mail.reply_to).find(|r| !is_address(&r.address)) {
        return Err(wrong("mail.to", format!("{:?} is not an address", bad.address)).into());
    }
    if mail.subject.chars().count() > MAX_SUBJECT || mail.subject.contains(['\r', '\n']) {
        return Err(wrong("mail.subject", format!("is one line of at most {MAX_SUBJECT} characters")).into());
    }
    let body_type = mail.body_type.as_deref().unwrap_or("text");
    if !["text", "html"].contains(&body_type) {
        return Err(wrong("mail.body_type", "is text or html").into());
    }
    let importance = mail.importance.as_deref().unwrap_or("normal");
    if !["low", "normal", "high"].contains(&importance) {
        return Err(wrong("mail.importance", "is low, normal or high").into());
    }
    let payload = json!({
        "from": mail.from, "to": mail.to, "cc": mail.cc, "bcc": mail.bcc, "reply_to": mail.reply_to,
        "subject": mail.subject, "body_type": body_type, "body": mail.body, "importance": importance,
    });
    let files = of_files(mail.attachments)?;
    let Some(mailbox) = mailboxes::get(tx, company, &mail.from).await?.filter(|m| m.enabled) else {
        let message =
            "is no registered mailbox that is switched on (PUT /api/mailboxes/{user} registers one)";
        return Err(wrong("mail.from", message).into());
    };
    Ok((mailbox.user_id, payload, files))
}

fn of_files(files: Vec<FileSending>) -> Result<Vec<OutgoingFile>, Problem> {
    if files.len() > MAX_FILES {
        return Err(wrong("mail.attachments", format!("has at most {MAX_FILES} files")));
    }
    let one = |file: FileSending| {
        if file.name.is_empty() || file.name.len() > 255 || file.name.contains(['/', '\\', '\r', '\n']) {
            return Err(wrong("mail.attachments", format!("{:?} is not a file's name", file.name)));
        }
        let content = STANDARD
            .decode(&file.content_base64)
            .map_err(|e| wrong("mail.attachments", format!("{}: not base64: {e}", file.name)))?;
        let content_type = file.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
        Ok(OutgoingFile { name: file.name, content_type, content })
    };
    files.into_iter().map(one).collect()
}

/// Something before and after one @, without spaces: the provider has the last word.
fn is_address(text: &str) -> bool {
    let plain = text.len() <= 320 && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    plain
        && text
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses_have_two_sides() {
        assert!(is_address("a@example.com"));
        for wrong in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(!is_address(wrong), "{wrong:?}");
        }
    }
}
