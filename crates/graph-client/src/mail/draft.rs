//! Drafts: created with our mark, sent, deleted (user-post-messages, message-send, message-delete; Graph v1.0).
//!
//! `sendMail` answers without an id and is not idempotent (pain 35). The path that can be proven is: draft with an
//! immutable id, send, look the id up.

use domain::names::encode_segment;
use outbound::Method;
use outbound::provider::Call;
use serde::{Deserialize, Serialize};

use super::{MailAddress, immutable};
use crate::client::{GraphClient, found, writes};
use crate::error::{GraphError, GraphErrorKind};

const CREATE: Call = writes("draft_create");
const SEND: Call = writes("draft_send");
const DELETE: Call = writes("draft_delete").repeatable();

/// The extended property that carries our outbox id: a named property of the public strings set
/// (singlevaluelegacyextendedproperty, Graph v1.0).
pub(super) const MARK: &str = "String {00020329-0000-0000-c000-000000000046} Name SynclineOutboxId";

/// Longest outbox id.
const MAX_OUTBOX_ID: usize = 64;

/// A mail to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewDraft {
    /// Ours: 1 to 64 letters, digits, `-` and `_`.
    pub outbox_id: String,
    /// Subject.
    pub subject: String,
    /// The body is HTML.
    pub html: bool,
    /// Body.
    pub body: String,
    /// Recipients.
    pub to: Vec<MailAddress>,
    /// Copies.
    pub cc: Vec<MailAddress>,
    /// Blind copies.
    pub bcc: Vec<MailAddress>,
    /// Where answers go.
    pub reply_to: Vec<MailAddress>,
    /// `low`, `normal`, `high`; empty is normal.
    pub importance: String,
}

/// A draft that exists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Draft {
    /// Immutable id.
    pub id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DraftBody<'a> {
    subject: &'a str,
    body: Content<'a>,
    to_recipients: Vec<Recipient<'a>>,
    cc_recipients: Vec<Recipient<'a>>,
    bcc_recipients: Vec<Recipient<'a>>,
    reply_to: Vec<Recipient<'a>>,
    importance: &'a str,
    single_value_extended_properties: [Property<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    content_type: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recipient<'a> {
    email_address: Address<'a>,
}

#[derive(Serialize)]
struct Address<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    address: &'a str,
}

#[derive(Serialize)]
struct Property<'a> {
    id: &'static str,
    value: &'a str,
}

fn recipients(addresses: &[MailAddress]) -> Vec<Recipient<'_>> {
    addresses.iter().filter_map(recipient).collect()
}

fn recipient(address: &MailAddress) -> Option<Recipient<'_>> {
    let name = address.name.as_deref().filter(|name| !name.is_empty());
    Some(Recipient { email_address: Address { name, address: address.address.as_deref()? } })
}

/// Checks an outbox id, which stands in filters: it must not be able to end a text there.
pub(super) fn outbox_id(operation: &'static str, id: &str) -> Result<(), GraphError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=MAX_OUTBOX_ID).contains(&id.len()) && id.chars().all(good) {
        return Ok(());
    }
    let message = format!("outbox_id must have 1 to {MAX_OUTBOX_ID} letters, digits, - or _");
    Err(GraphError::own(operation, GraphErrorKind::Refused, "invalidRequest", message, None))
}

impl GraphClient {
    /// Writes a draft that carries the outbox id.
    ///
    /// # Errors
    /// [`GraphError`]; `Ambiguous` when the draft may exist: look for it with [`GraphClient::find_outgoing`].
    pub async fn create_draft(&self, user: &str, new: &NewDraft) -> Result<Draft, GraphError> {
        outbox_id(CREATE.operation, &new.outbox_id)?;
        let body = DraftBody {
            subject: &new.subject,
            body: Content { content_type: if new.html { "html" } else { "text" }, content: &new.body },
            to_recipients: recipients(&new.to),
            cc_recipients: recipients(&new.cc),
            bcc_recipients: recipients(&new.bcc),
            reply_to: recipients(&new.reply_to),
            importance: if new.importance.is_empty() { "normal" } else { &new.importance },
            single_value_extended_properties: [Property { id: MARK, value: &new.outbox_id }],
        };
        let url = self.url(CREATE.operation, &format!("/users/{}/messages", encode_segment(user)))?;
        let request = immutable(Self::request(Method::POST, url));
        self.write_json(&CREATE, request, &body).await.map_err(GraphError::of_write)
    }

    /// Sends a draft. Never repeated here.
    ///
    /// # Errors
    /// [`GraphError`]; `Ambiguous` when it may have been sent, `NotFound` when there is no such draft.
    pub async fn send_draft(&self, user: &str, message: &str) -> Result<(), GraphError> {
        let path = format!("/users/{}/messages/{}/send", encode_segment(user), encode_segment(message));
        let request = immutable(Self::request(Method::POST, self.url(SEND.operation, &path)?));
        self.send(&SEND, request, false).await.map(drop).map_err(GraphError::of_write)
    }

    /// Deletes a draft; false when it was gone already.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn delete_draft(&self, user: &str, message: &str) -> Result<bool, GraphError> {
        let path = format!("/users/{}/messages/{}", encode_segment(user), encode_segment(message));
        let request = immutable(Self::request(Method::DELETE, self.url(DELETE.operation, &path)?));
        Ok(found(self.send(&DELETE, request, false).await)?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outbox_ids_cannot_end_a_filter() {
        for good in ["01J", "a-b_C", &"x".repeat(64)] {
            assert!(outbox_id("x", good).is_ok(), "{good}");
        }
        for bad in ["", "a'b", "a b", "é", &"x".repeat(65)] {
            assert!(outbox_id("x", bad).is_err(), "{bad}");
        }
    }
}
