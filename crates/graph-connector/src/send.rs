//! Sending mail so that it is sent once as far as anyone can see: draft, send, look.

use contracts::fault::refused;
use contracts::graph::v1::{
    DeleteDraftReply, DeleteDraftRequest, EnsureDraftReply, EnsureDraftRequest, FindOutgoingReply,
    FindOutgoingRequest, OutgoingState, SendDraftReply, SendDraftRequest,
};
use graph_client::{GraphErrorKind, Outgoing};
use tonic::Status;

use crate::convert::micros;
use crate::convert_mail::draft;
use crate::mail::given;
use crate::permissions::{MAIL_READ, MAIL_SEND, MAIL_WRITE};
use crate::server::Connector;

fn existing(found: Outgoing) -> EnsureDraftReply {
    let already_sent = found.state != graph_client::OutgoingState::Draft;
    EnsureDraftReply { message_id: found.message_id, existed: true, already_sent }
}

fn message_id(id: &str) -> Result<&str, Status> {
    given(id).ok_or_else(|| refused("invalidRequest", "message_id is empty"))
}

impl Connector {
    /// The draft that carries the outbox id: the one that is there, or a new one.
    pub(crate) async fn draft(&self, request: EnsureDraftRequest) -> Result<EnsureDraftReply, Status> {
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let (user, first) = (request.user_id.clone(), request.first_attempt);
        let new = draft(request);
        if new.to.is_empty() && new.cc.is_empty() && new.bcc.is_empty() {
            return Err(refused("invalidRequest", "the mail has no recipient"));
        }
        if !first {
            let found = turned.graph.find_outgoing(&user, &new.outbox_id, None).await;
            if let Some(found) = self.learn(MAIL_READ, found)? {
                return Ok(existing(found));
            }
        }
        let mut error = match turned.graph.create_draft(&user, &new).await {
            Ok(draft) => return Ok(EnsureDraftReply { message_id: draft.id, ..EnsureDraftReply::default() }),
            Err(error) => error,
        };
        if error.kind == GraphErrorKind::Ambiguous {
            let found = turned.graph.find_outgoing(&user, &new.outbox_id, None).await;
            if let Some(found) = self.learn(MAIL_READ, found)? {
                return Ok(existing(found));
            }
            // A draft alone reaches nobody: the next attempt looks first, and writes it if it is still not there.
            error.kind = GraphErrorKind::Unavailable;
        }
        self.learn(MAIL_WRITE, Err(error))
    }

    /// Sends a draft; an ambiguous outcome is the caller's to look up.
    pub(crate) async fn send(&self, request: SendDraftRequest) -> Result<SendDraftReply, Status> {
        let id = message_id(&request.message_id)?;
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        self.learn(MAIL_SEND, turned.graph.send_draft(&request.user_id, id).await)?;
        Ok(SendDraftReply {})
    }

    /// What became of a mail.
    pub(crate) async fn find(&self, request: FindOutgoingRequest) -> Result<FindOutgoingReply, Status> {
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let found = turned
            .graph
            .find_outgoing(&request.user_id, &request.outbox_id, given(&request.message_id))
            .await;
        let Some(found) = self.learn(MAIL_READ, found)? else {
            let state = OutgoingState::Absent.into();
            return Ok(FindOutgoingReply { state, ..FindOutgoingReply::default() });
        };
        let state = match found.state {
            graph_client::OutgoingState::Draft => OutgoingState::Draft,
            graph_client::OutgoingState::Submitted => OutgoingState::Submitted,
            graph_client::OutgoingState::Sent => OutgoingState::Sent,
        };
        Ok(FindOutgoingReply {
            state: state.into(),
            message_id: found.message_id,
            internet_message_id: found.internet_message_id.unwrap_or_default(),
            sent_at_us: found.sent_at.map(micros),
        })
    }

    /// Deletes a draft.
    pub(crate) async fn discard(&self, request: DeleteDraftRequest) -> Result<DeleteDraftReply, Status> {
        let id = message_id(&request.message_id)?;
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let existed = self.learn(MAIL_WRITE, turned.graph.delete_draft(&request.user_id, id).await)?;
        Ok(DeleteDraftReply { existed })
    }
}
