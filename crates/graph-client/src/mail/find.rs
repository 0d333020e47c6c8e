//! What became of a mail that we wrote: by its id, then by the mark that it carries.

use chrono::{DateTime, Utc};
use domain::names::encode_segment;
use outbound::http::Request;
use outbound::provider::Call;

use super::draft::{MARK, outbox_id};
use super::message::read_message;
use super::{MailMessage, immutable};
use crate::client::{GraphClient, found, reads};
use crate::error::{GraphError, GraphErrorKind};
use crate::page::listed;

const FIND: Call = reads("outgoing_find");
const SELECT: &str = "$select=id,isDraft,parentFolderId,internetMessageId,sentDateTime";

/// Where the mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutgoingState {
    /// A draft, not submitted.
    Draft,
    /// In the outbox folder.
    Submitted,
    /// Sent.
    Sent,
}

/// A mail of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it stands.
    pub state: OutgoingState,
    /// Immutable id.
    pub message_id: String,
    /// `Message-ID` of the mail itself.
    pub internet_message_id: Option<String>,
    /// Departure.
    pub sent_at: Option<DateTime<Utc>>,
}

fn outgoing(state: OutgoingState, message: MailMessage) -> Outgoing {
    Outgoing {
        state,
        message_id: message.id,
        internet_message_id: message.internet_message_id,
        sent_at: message.sent_at.filter(|_| state == OutgoingState::Sent),
    }
}

/// A message says itself whether it is a draft; one that says nothing was found outside the drafts.
fn state_of(message: &MailMessage) -> OutgoingState {
    if message.is_draft == Some(true) { OutgoingState::Draft } else { OutgoingState::Sent }
}

impl GraphClient {
    /// Looks for the mail that carries `outbox` in the mailbox: by `message_id` when it is known, then by its mark in
    /// drafts, outbox and sent items, then in every folder (a rule may have moved it). `None`: nowhere.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn find_outgoing(
        &self,
        user: &str,
        outbox: &str,
        message_id: Option<&str>,
    ) -> Result<Option<Outgoing>, GraphError> {
        outbox_id(FIND.operation, outbox)?;
        if let Some(id) = message_id
            && let Some(message) = self.outgoing_by_id(user, id).await?
        {
            let submitted = match &message.folder_id {
                Some(folder) => {
                    let outbox = self.mail_folder(user, "outbox").await?;
                    outbox.is_some_and(|outbox| outbox.id == *folder)
                }
                None => false,
            };
            let state = if submitted { OutgoingState::Submitted } else { state_of(&message) };
            return Ok(Some(outgoing(state, message)));
        }
        // Along the way that a mail takes: one that moves on meanwhile is met at its next place.
        let folders = [
            ("drafts", OutgoingState::Draft),
            ("outbox", OutgoingState::Submitted),
            ("sentitems", OutgoingState::Sent),
        ];
        for (folder, state) in folders {
            let path = format!("/users/{}/mailFolders/{folder}/messages", encode_segment(user));
            if let Some(message) = self.outgoing_by_mark(&path, outbox).await? {
                return Ok(Some(outgoing(state, message)));
            }
        }
        let path = format!("/users/{}/messages", encode_segment(user));
        let message = self.outgoing_by_mark(&path, outbox).await?;
        Ok(message.map(|message| outgoing(state_of(&message), message)))
    }

    async fn outgoing_by_id(&self, user: &str, id: &str) -> Result<Option<MailMessage>, GraphError> {
        let path = format!("/users/{}/messages/{}", encode_segment(user), encode_segment(id));
        let mut url = self.url(FIND.operation, &path)?;
        url.set_query(Some(SELECT));
        let decode = |body: &[u8]| serde_json::from_slice::<Box<serde_json::value::RawValue>>(body);
        let Some(raw) = found(self.fetch(&FIND, immutable(Request::get(url)), false, decode).await)? else {
            return Ok(None);
        };
        read_message(raw.get(), 0).map(Some).map_err(unreadable)
    }

    /// The message that carries the mark; a missing folder has none.
    async fn outgoing_by_mark(&self, path: &str, outbox: &str) -> Result<Option<MailMessage>, GraphError> {
        let mut url = self.url(FIND.operation, path)?;
        let filter =
            format!("singleValueExtendedProperties/Any(ep: ep/id eq '{MARK}' and ep/value eq '{outbox}')");
        url.set_query(Some(&format!("{SELECT}&$top=5&$filter={filter}")));
        let decode = |body: &[u8]| listed(body, |raw| read_message(raw, 0));
        let page = found(self.fetch(&FIND, immutable(Request::get(url)), false, decode).await)?;
        let Some(page) = page else { return Ok(None) };
        if let Some(poison) = page.poison.into_iter().next() {
            // To take it for absent would write a second mail.
            return Err(unreadable(poison.reason));
        }
        // What was sent counts before a draft that was left beside it.
        Ok(page.items.into_iter().min_by_key(|message| message.is_draft == Some(true)))
    }
}

fn unreadable(reason: String) -> GraphError {
    GraphError::own(FIND.operation, GraphErrorKind::Unavailable, "malformedItem", reason, None)
}
