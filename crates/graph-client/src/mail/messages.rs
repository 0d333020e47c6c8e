//! Messages: delta, lists, look-ups (message-delta, user-list-messages, message-get; Graph v1.0).

use chrono::{DateTime, Utc};
use domain::names::encode_segment;
use outbound::Url;
use outbound::http::{HttpError, Request};
use outbound::provider::{Call, CallError};

use super::message::{MailMessage, read_message};
use super::{IMMUTABLE_IDS, paged, written};
use crate::batch::{BatchRequest, MAX_BATCH};
use crate::client::{GraphClient, reads};
use crate::error::{GraphError, GraphErrorKind};
use crate::items::{PoisonItem, poison};
use crate::page::{ChangePage, ListPage, Listed, listed};

const DELTA: Call = reads("message_delta");
const LIST: Call = reads("message_list");

/// Rounds in which failed items of a batch are asked for again.
const BATCH_ROUNDS: usize = 4;

const FIELDS: &str = "id,parentFolderId,internetMessageId,conversationId,subject,from,sender,toRecipients,\
                      ccRecipients,bccRecipients,bodyPreview,hasAttachments,isRead,isDraft,importance,categories,\
                      receivedDateTime,sentDateTime,createdDateTime,lastModifiedDateTime,webLink";

/// What of a message is read. It is part of a delta's token: another choice needs another round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailSelection {
    /// Bodies, or previews only.
    pub bodies: bool,
    /// Metadata of attachments.
    pub attachments: bool,
    /// Bytes of a body that are kept.
    pub body_limit: usize,
}

/// `[from, to)` of an instant; `None` is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// From this instant on.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
}

impl MailSelection {
    fn query(self) -> String {
        let body = if self.bodies { ",body" } else { "" };
        let expand = "&$expand=attachments($select=id,name,contentType,size,isInline)";
        format!("$select={FIELDS}{body}{}", if self.attachments { expand } else { "" })
    }
}

impl GraphClient {
    /// One page of a folder's changes; `link` continues, verbatim. `received_since` belongs to a first page alone and
    /// caps the round at 5,000 messages (message-delta).
    ///
    /// # Errors
    /// [`GraphError`]; `Resync` when the cursor is gone, also on a nextLink (pain 9).
    pub async fn message_delta(
        &self,
        user: &str,
        folder: &str,
        selection: MailSelection,
        link: Option<&str>,
        page_size: u32,
        received_since: Option<DateTime<Utc>>,
    ) -> Result<ChangePage<MailMessage>, GraphError> {
        let url = if let Some(link) = link {
            self.link(DELTA.operation, link)?
        } else {
            let path = messages_of(user, folder);
            let mut url = self.url(DELTA.operation, &format!("{path}/delta"))?;
            let since = received_since.map(|at| format!("&$filter=receivedDateTime ge {}", written(at)));
            url.set_query(Some(&format!("{}{}", selection.query(), since.unwrap_or_default())));
            url
        };
        let page = self.pages(&DELTA, url, link.is_some(), page_size, selection.body_limit).await?;
        page.changes(DELTA.operation)
    }

    /// One page of a folder's messages by arrival, newest first; `link` continues, verbatim.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn list_messages(
        &self,
        user: &str,
        folder: &str,
        selection: Option<MailSelection>,
        window: Window,
        link: Option<&str>,
        page_size: u32,
    ) -> Result<ListPage<MailMessage>, GraphError> {
        let url = if let Some(link) = link {
            self.link(LIST.operation, link)?
        } else {
            let mut url = self.url(LIST.operation, &messages_of(user, folder))?;
            let select = selection.map_or_else(|| "$select=id".to_owned(), MailSelection::query);
            // What is ordered by must be filtered by first (query-parameters, Graph v1.0).
            let from = window.from.unwrap_or(DateTime::UNIX_EPOCH);
            let to = window.to.map(|to| format!(" and receivedDateTime lt {}", written(to)));
            let filter = format!("receivedDateTime ge {}{}", written(from), to.unwrap_or_default());
            url.set_query(Some(&format!(
                "{select}&$top={page_size}&$orderby=receivedDateTime desc&$filter={filter}"
            )));
            url
        };
        let limit = selection.map_or(0, |selection| selection.body_limit);
        Ok(self.pages(&LIST, url, link.is_some(), page_size, limit).await?.list())
    }

    /// A page of messages; one that is too large for us is asked for again in smaller pages.
    async fn pages(
        &self,
        call: &Call,
        url: Url,
        on_link: bool,
        page_size: u32,
        body_limit: usize,
    ) -> Result<Listed<MailMessage>, GraphError> {
        let mut size = page_size.max(1);
        loop {
            let request = paged(Request::get(url.clone()), size);
            let decode = |body: &[u8]| listed(body, |raw| read_message(raw, body_limit));
            match self.fetch(call, request, on_link, decode).await {
                Err(error) if too_large(&error) && size > 1 => {
                    size = (size / 5).max(1);
                    tracing::info!(
                        operation = call.operation,
                        size,
                        "page too large, asking for a smaller one"
                    );
                }
                outcome => return outcome,
            }
        }
    }

    /// Messages by id, in batches; only failed items are asked for again. `None` for those that do not exist.
    ///
    /// # Errors
    /// [`GraphError`] of the first item that stayed without an answer.
    pub async fn messages(
        &self,
        user: &str,
        ids: &[String],
        selection: MailSelection,
    ) -> Result<Vec<Result<Option<MailMessage>, PoisonItem>>, GraphError> {
        let mut read: Vec<Option<Result<Option<MailMessage>, PoisonItem>>> = vec![None; ids.len()];
        let mut failure = None;
        for _round in 0..BATCH_ROUNDS {
            let open: Vec<usize> = (0..ids.len()).filter(|&at| read[at].is_none()).collect();
            if open.is_empty() {
                break;
            }
            for part in open.chunks(MAX_BATCH) {
                let user = encode_segment(user);
                let requests: Vec<BatchRequest> = part
                    .iter()
                    .map(|&at| BatchRequest {
                        id: at.to_string(),
                        path: format!(
                            "/users/{user}/messages/{}?{}",
                            encode_segment(&ids[at]),
                            selection.query()
                        ),
                    })
                    .collect();
                let outcomes = self.batch_of(&requests, 1, Some(IMMUTABLE_IDS)).await?;
                for (&at, outcome) in part.iter().zip(outcomes) {
                    match outcome.result {
                        Ok(body) => {
                            let raw = body.to_string();
                            let message = read_message(&raw, selection.body_limit);
                            read[at] = Some(message.map(Some).map_err(|reason| poison(&raw, reason)));
                        }
                        Err(error) if error.kind == GraphErrorKind::NotFound => read[at] = Some(Ok(None)),
                        Err(error) if transient(&error.kind) => failure = Some(error),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        let complete: Option<Vec<_>> = read.into_iter().collect();
        match (complete, failure) {
            (Some(all), _) => Ok(all),
            (None, Some(error)) => Err(error),
            (None, None) => {
                let message = "the batch left items without an answer".to_owned();
                let kind = GraphErrorKind::Unavailable;
                Err(GraphError::own("batch", kind, "missingAnswer", message, None))
            }
        }
    }
}

fn messages_of(user: &str, folder: &str) -> String {
    format!("/users/{}/mailFolders/{}/messages", encode_segment(user), encode_segment(folder))
}

fn transient(kind: &GraphErrorKind) -> bool {
    matches!(kind, GraphErrorKind::Unavailable | GraphErrorKind::Throttled { .. } | GraphErrorKind::TryLater)
}

fn too_large(error: &GraphError) -> bool {
    matches!(error.source.as_deref(), Some(CallError::Transport(HttpError::TooLarge { .. })))
}
