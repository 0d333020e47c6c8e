//! Attachments that arrive in chunks: small ones leave in one request, large ones part by part. At most one part is
//! held in memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chassis::time::deadline;
use contracts::fault::refused;
use contracts::graph::v1::attach_file_request::Part;
use contracts::graph::v1::{AttachFileHead, AttachFileReply, AttachFileRequest};
use graph_client::{GraphClient, GraphErrorKind, MAX_DIRECT_ATTACHMENT, NewAttachment, UPLOAD_SLICE};
use tonic::{Status, Streaming};

use crate::fault::status;
use crate::permissions::MAIL_WRITE;
use crate::server::Connector;

/// How long the next chunk may take.
const CHUNK_WAIT: Duration = Duration::from_mins(1);
/// Largest attachment, bytes (outlook-large-attachments: 150 MB).
const MAX_ATTACHMENT: u64 = 150_000_000;

/// The chunks of one call.
struct Chunks {
    parts: Streaming<AttachFileRequest>,
    buffer: BytesMut,
    received: u64,
    size: u64,
}

impl Chunks {
    /// Up to `limit` bytes; fewer only at the end.
    async fn fill(&mut self, limit: usize) -> Result<Bytes, Status> {
        while self.buffer.len() < limit {
            match next(&mut self.parts).await? {
                Some(Part::Chunk(chunk)) => {
                    self.received += chunk.len() as u64;
                    if self.received > self.size {
                        return Err(refused("invalidRequest", "the content is longer than its size"));
                    }
                    self.buffer.extend_from_slice(&chunk);
                }
                Some(Part::Head(_)) => return Err(refused("invalidRequest", "a second head")),
                None if self.received == self.size => break,
                None => return Err(refused("invalidRequest", "the content is shorter than its size")),
            }
        }
        let length = self.buffer.len().min(limit);
        Ok(self.buffer.split_to(length).freeze())
    }
}

async fn next(parts: &mut Streaming<AttachFileRequest>) -> Result<Option<Part>, Status> {
    loop {
        let message = deadline("next chunk", CHUNK_WAIT, parts.message()).await;
        match message.map_err(|elapsed| Status::deadline_exceeded(elapsed.to_string()))?? {
            Some(AttachFileRequest { part: Some(part) }) => return Ok(Some(part)),
            Some(AttachFileRequest { part: None }) => {}
            None => return Ok(None),
        }
    }
}

impl Connector {
    /// Uploads one attachment, unless it is there already.
    pub(crate) async fn attach(
        &self,
        mut parts: Streaming<AttachFileRequest>,
    ) -> Result<AttachFileReply, Status> {
        let Some(Part::Head(head)) = next(&mut parts).await? else {
            return Err(refused("invalidRequest", "the first part is no head"));
        };
        let size = u64::try_from(head.size).ok().filter(|size| (1..=MAX_ATTACHMENT).contains(size));
        let size = size.ok_or_else(|| refused("invalidRequest", "size must be 1 to 150,000,000 bytes"))?;
        if head.message_id.is_empty() || head.name.is_empty() {
            return Err(refused("invalidRequest", "message_id or name is empty"));
        }
        let turned = self.mailbox(head.context.as_ref(), &head.user_id).await?;
        let new =
            NewAttachment { name: head.name.clone(), content_type: given_type(&head.content_type), size };
        if self.is_attached(&turned.graph, &head, &new).await? {
            return Ok(AttachFileReply { existed: true });
        }
        let mut chunks = Chunks { parts, buffer: BytesMut::new(), received: 0, size };
        if size <= MAX_DIRECT_ATTACHMENT {
            // One byte more than it may have, so that a longer content is noticed.
            let content = chunks.fill(usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1)).await?;
            let attached = turned.graph.attach(&head.user_id, &head.message_id, &new, &content).await;
            match attached {
                Err(error) if error.kind == GraphErrorKind::Ambiguous => {
                    if !self.is_attached(&turned.graph, &head, &new).await? {
                        return Err(status(&graph_client::GraphError {
                            kind: GraphErrorKind::Unavailable,
                            ..error
                        }));
                    }
                }
                outcome => self.learn(MAIL_WRITE, outcome)?,
            }
        } else {
            self.upload(&turned.graph, &head, &new, &mut chunks).await?;
        }
        Ok(AttachFileReply { existed: false })
    }

    async fn upload(
        &self,
        graph: &GraphClient,
        head: &AttachFileHead,
        new: &NewAttachment,
        chunks: &mut Chunks,
    ) -> Result<(), Status> {
        let session = graph.open_upload(&head.user_id, &head.message_id, new).await;
        let session = self.learn(MAIL_WRITE, session)?;
        let mut at = 0;
        loop {
            let part = chunks.fill(UPLOAD_SLICE).await?;
            if part.is_empty() {
                return Err(Status::unavailable("the provider did not complete the upload"));
            }
            if graph.upload(&session, at, &part).await.map_err(|error| status(&error))? {
                return Ok(());
            }
            at += part.len() as u64;
        }
    }

    /// Whether the draft has an attachment of this name and about this size: Outlook counts its own wrapping too.
    async fn is_attached(
        &self,
        graph: &GraphClient,
        head: &AttachFileHead,
        new: &NewAttachment,
    ) -> Result<bool, Status> {
        let there = self.learn(MAIL_WRITE, graph.attachments(&head.user_id, &head.message_id).await)?;
        let most = new.size.saturating_mul(3) / 2 + 4_096;
        Ok(there.iter().any(|a| {
            let size = a.size.and_then(|size| u64::try_from(size).ok());
            a.name.as_deref() == Some(new.name.as_str())
                && size.is_some_and(|s| (new.size..=most).contains(&s))
        }))
    }
}

fn given_type(content_type: &str) -> String {
    if content_type.is_empty() { "application/octet-stream".to_owned() } else { content_type.to_owned() }
}
