//! The gRPC service of mailboxes.

use chassis::time::deadline;
use contracts::fault::{busy, refused};
use contracts::graph::v1::graph_mail_server::GraphMail;
use contracts::graph::v1::{
    AttachFileReply, AttachFileRequest, CallContext, DeleteDraftReply, DeleteDraftRequest, EnsureDraftReply,
    EnsureDraftRequest, FindOutgoingReply, FindOutgoingRequest, GetMailFolderReply, GetMailFolderRequest,
    GetMailboxReply, GetMailboxRequest, GetMessagesReply, GetMessagesRequest, ListMessagesReply,
    ListMessagesRequest, MailFolderDeltaReply, MailFolderDeltaRequest, MailSelection, MessageDeltaReply,
    MessageDeltaRequest, MessageLookup, SendDraftReply, SendDraftRequest, mail_folder_delta_reply,
    message_delta_reply,
};
use graph_client::{GraphClient, GraphError, NextLink};
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};
use tonic::{Request, Response, Status, Streaming};

use crate::clients::priority;
use crate::convert::poison;
use crate::convert_mail::{folder, instant, message, messages, window};
use crate::fault::status;
use crate::permissions::{MAIL_READ, USERS_READ};
use crate::server::{Connector, TURN_WAIT};

/// Messages of one look-up.
const MAX_LOOKUP: usize = graph_client::MAX_BATCH;

/// A mailbox's client, and the turns that a call holds.
pub(crate) struct Turned<'a> {
    pub graph: GraphClient,
    _turn: SemaphorePermit<'a>,
    _place: Option<OwnedSemaphorePermit>,
}

/// Text that may be empty.
pub(crate) fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Connector {
    /// Waits for the mailbox's turn, then for one of all calls.
    pub(crate) async fn mailbox(
        &self,
        context: Option<&CallContext>,
        user: &str,
    ) -> Result<Turned<'_>, Status> {
        if user.is_empty() {
            return Err(refused("invalidRequest", "user_id is empty"));
        }
        let place = self.clients.mailbox(user);
        let held = deadline("mailbox turn", TURN_WAIT, place.turn()).await.map_err(|_| busy())?;
        let turn = self.turn().await?;
        let graph = place.client.with_priority(priority(context));
        Ok(Turned { graph, _turn: turn, _place: held })
    }

    pub(crate) fn learn<T>(
        &self,
        permission: &'static str,
        outcome: Result<T, GraphError>,
    ) -> Result<T, Status> {
        self.permissions.learn(permission, outcome).map_err(|error| status(&error))
    }

    fn selection(&self, selection: Option<MailSelection>) -> graph_client::MailSelection {
        let asked = selection.unwrap_or_default();
        graph_client::MailSelection {
            bodies: asked.bodies,
            attachments: asked.attachments,
            body_limit: self.body_limit,
        }
    }

    fn mail_page(&self, asked: i32) -> u32 {
        match u32::try_from(asked) {
            Ok(0) | Err(_) => self.mail_page_size,
            Ok(size) => size.min(1_000),
        }
    }
}

#[tonic::async_trait]
impl GraphMail for Connector {
    async fn get_mailbox(
        &self,
        request: Request<GetMailboxRequest>,
    ) -> Result<Response<GetMailboxReply>, Status> {
        let request = request.into_inner();
        let turned = self.mailbox(request.context.as_ref(), &request.user).await?;
        let found = self.learn(USERS_READ, turned.graph.mailbox(&request.user).await)?;
        Ok(Response::new(found.map_or_else(GetMailboxReply::default, |user| GetMailboxReply {
            found: true,
            user_id: user.id,
            principal_name: user.user_principal_name.unwrap_or_default(),
            mail: user.mail.unwrap_or_default(),
            display_name: user.display_name.unwrap_or_default(),
        })))
    }

    async fn mail_folder_delta(
        &self,
        request: Request<MailFolderDeltaRequest>,
    ) -> Result<Response<MailFolderDeltaReply>, Status> {
        let request = request.into_inner();
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let page = turned.graph.mail_folder_delta(&request.user_id, given(&request.link)).await;
        let page = self.learn(MAIL_READ, page)?;
        let next = match page.next {
            NextLink::Next(link) => mail_folder_delta_reply::Next::NextLink(link),
            NextLink::Delta(link) => mail_folder_delta_reply::Next::DeltaLink(link),
        };
        Ok(Response::new(MailFolderDeltaReply {
            folders: page.items.into_iter().map(folder).collect(),
            poison: poison(page.poison),
            next: Some(next),
        }))
    }

    async fn get_mail_folder(
        &self,
        request: Request<GetMailFolderRequest>,
    ) -> Result<Response<GetMailFolderReply>, Status> {
        let request = request.into_inner();
        if request.folder_id.is_empty() {
            return Err(refused("invalidRequest", "folder_id is empty"));
        }
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let found = turned.graph.mail_folder(&request.user_id, &request.folder_id).await;
        let found = self.learn(MAIL_READ, found)?;
        Ok(Response::new(GetMailFolderReply { folder: found.map(folder) }))
    }

    async fn message_delta(
        &self,
        request: Request<MessageDeltaRequest>,
    ) -> Result<Response<MessageDeltaReply>, Status> {
        let request = request.into_inner();
        if request.folder_id.is_empty() && request.link.is_empty() {
            return Err(refused("invalidRequest", "folder_id is empty"));
        }
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let page = turned.graph.message_delta(
            &request.user_id,
            &request.folder_id,
            self.selection(request.selection),
            given(&request.link),
            self.mail_page(request.page_size),
            instant(request.received_since_us),
        );
        let page = self.learn(MAIL_READ, page.await)?;
        let next = match page.next {
            NextLink::Next(link) => message_delta_reply::Next::NextLink(link),
            NextLink::Delta(link) => message_delta_reply::Next::DeltaLink(link),
        };
        Ok(Response::new(MessageDeltaReply {
            messages: messages(page.items),
            poison: poison(page.poison),
            next: Some(next),
        }))
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesReply>, Status> {
        let request = request.into_inner();
        if request.folder_id.is_empty() && request.link.is_empty() {
            return Err(refused("invalidRequest", "folder_id is empty"));
        }
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let selection = self.selection(request.selection);
        let page = turned.graph.list_messages(
            &request.user_id,
            &request.folder_id,
            Some(selection).filter(|_| !request.ids_only),
            window(request.from_us, request.to_us),
            given(&request.link),
            self.mail_page(request.page_size),
        );
        let page = self.learn(MAIL_READ, page.await)?;
        Ok(Response::new(ListMessagesReply {
            messages: messages(page.items),
            poison: poison(page.poison),
            next_link: page.next_link.unwrap_or_default(),
        }))
    }

    async fn get_messages(
        &self,
        request: Request<GetMessagesRequest>,
    ) -> Result<Response<GetMessagesReply>, Status> {
        let request = request.into_inner();
        let ids = request.message_ids;
        if ids.len() > MAX_LOOKUP || ids.iter().any(String::is_empty) {
            return Err(refused("invalidRequest", format!("message_ids must be up to {MAX_LOOKUP} ids")));
        }
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let selection = self.selection(request.selection);
        let read = turned.graph.messages(&request.user_id, &ids, selection).await;
        let read = self.learn(MAIL_READ, read)?;
        let lookup = |(id, read)| match read {
            Ok(found) => MessageLookup { id, message: Option::map(found, message), poison: None },
            Err(bad) => MessageLookup { id, message: None, poison: poison(vec![bad]).pop() },
        };
        Ok(Response::new(GetMessagesReply { messages: ids.into_iter().zip(read).map(lookup).collect() }))
    }

    async fn ensure_draft(
        &self,
        request: Request<EnsureDraftRequest>,
    ) -> Result<Response<EnsureDraftReply>, Status> {
        self.draft(request.into_inner()).await.map(Response::new)
    }

    async fn attach_file(
        &self,
        request: Request<Streaming<AttachFileRequest>>,
    ) -> Result<Response<AttachFileReply>, Status> {
        self.attach(request.into_inner()).await.map(Response::new)
    }

    async fn send_draft(
        &self,
        request: Request<SendDraftRequest>,
    ) -> Result<Response<SendDraftReply>, Status> {
        self.send(request.into_inner()).await.map(Response::new)
    }

    async fn find_outgoing(
        &self,
        request: Request<FindOutgoingRequest>,
    ) -> Result<Response<FindOutgoingReply>, Status> {
        self.find(request.into_inner()).await.map(Response::new)
    }

    async fn delete_draft(
        &self,
        request: Request<DeleteDraftRequest>,
    ) -> Result<Response<DeleteDraftReply>, Status> {
        self.discard(request.into_inner()).await.map(Response::new)
    }
}
