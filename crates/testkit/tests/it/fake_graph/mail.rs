//! Mailboxes.

use async_trait::async_trait;
use contracts::graph::v1 as pb;
use contracts::graph::v1::graph_mail_server::GraphMail;
use contracts::graph::v1::message_delta_reply::Next;
use tonic::{Request, Response, Status, Streaming};

use super::{Answer, FakeGraph, Lost, State, fault};

const PAGE: usize = 2;

fn in_folder<'a>(state: &'a State, folder: &'a str) -> impl Iterator<Item = &'a pb::MailMessage> {
    state.messages.values().filter(move |m| m.folder_id.as_deref() == Some(folder))
}

fn folder(state: &State, id: &str) -> Option<pb::MailFolder> {
    let name = state.folders.get(id)?;
    Some(pb::MailFolder {
        id: id.to_owned(),
        name: Some(name.clone()),
        well_known_name: (name == "Inbox").then(|| "inbox".to_owned()),
        total_item_count: Some(i64::try_from(in_folder(state, id).count()).expect("few")),
        ..pb::MailFolder::default()
    })
}

#[async_trait]
impl GraphMail for FakeGraph {
    async fn get_mailbox(&self, request: Request<pb::GetMailboxRequest>) -> Answer<pb::GetMailboxReply> {
        drop(self.called("get_mailbox"));
        let user = request.into_inner().user;
        let found = user == "ann@example.com" || user == "ann";
        Ok(Response::new(pb::GetMailboxReply {
            found,
            user_id: "ann".to_owned(),
            principal_name: "ann@example.com".to_owned(),
            mail: "ann@example.com".to_owned(),
            display_name: "Ann".to_owned(),
        }))
    }

    async fn mail_folder_delta(
        &self,
        _: Request<pb::MailFolderDeltaRequest>,
    ) -> Answer<pb::MailFolderDeltaReply> {
        let state = self.called("mail_folder_delta");
        let folders = state.folders.keys().filter_map(|id| folder(&state, id)).collect();
        Ok(Response::new(pb::MailFolderDeltaReply {
            folders,
            poison: Vec::new(),
            next: Some(pb::mail_folder_delta_reply::Next::DeltaLink("tree".to_owned())),
        }))
    }

    async fn get_mail_folder(
        &self,
        request: Request<pb::GetMailFolderRequest>,
    ) -> Answer<pb::GetMailFolderReply> {
        let state = self.called("get_mail_folder");
        Ok(Response::new(pb::GetMailFolderReply { folder: folder(&state, &request.into_inner().folder_id) }))
    }

    async fn message_delta(
        &self,
        request: Request<pb::MessageDeltaRequest>,
    ) -> Answer<pb::MessageDeltaReply> {
        let mut state = self.called("message_delta");
        let request = request.into_inner();
        let place = request.folder_id.as_str();
        if !state.folders.contains_key(place) {
            return Err(fault(pb::FaultKind::NotFound, "ErrorItemNotFound"));
        }
        if !request.link.is_empty() && state.lost_tokens.remove(place) {
            return Err(fault(pb::FaultKind::Resync, "SyncStateNotFound"));
        }
        let end = format!("d:{}", state.log.len());
        let (messages, next) = match request.link.split_once(':') {
            Some(("d", from)) => {
                let from: usize = from.parse().expect("our own link");
                let changes = state.log[from..].iter().filter(|(folder, ..)| folder == place);
                let changes = changes.filter_map(|(_, id, removed)| {
                    if *removed {
                        let removed = "deleted".to_owned();
                        return Some(pb::MailMessage {
                            id: id.clone(),
                            removed,
                            ..pb::MailMessage::default()
                        });
                    }
                    state.messages.get(id).filter(|m| m.folder_id.as_deref() == Some(place)).cloned()
                });
                (changes.collect::<Vec<_>>(), Next::DeltaLink(end))
            }
            page => {
                // The state at the first page is what the delta link continues.
                let (offset, end) = match page {
                    Some((_, rest)) => {
                        let (offset, end) = rest.split_once(',').expect("our own link");
                        (offset.parse().expect("our own link"), end.to_owned())
                    }
                    None => (0_usize, end),
                };
                let page: Vec<_> = in_folder(&state, place).skip(offset).take(PAGE).cloned().collect();
                let more = in_folder(&state, place).count() > offset + PAGE;
                let next = if more {
                    Next::NextLink(format!("n:{},{end}", offset + PAGE))
                } else {
                    Next::DeltaLink(end)
                };
                (page, next)
            }
        };
        Ok(Response::new(pb::MessageDeltaReply { messages, poison: Vec::new(), next: Some(next) }))
    }

    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> Answer<pb::ListMessagesReply> {
        let state = self.called("list_messages");
        let request = request.into_inner();
        let within = |m: &&pb::MailMessage| {
            let at = m.received_at_us.unwrap_or_default();
            at >= request.from_us && (request.to_us == 0 || at < request.to_us)
        };
        let messages = in_folder(&state, &request.folder_id).filter(within).cloned().collect();
        Ok(Response::new(pb::ListMessagesReply { messages, ..pb::ListMessagesReply::default() }))
    }

    async fn get_messages(&self, request: Request<pb::GetMessagesRequest>) -> Answer<pb::GetMessagesReply> {
        let state = self.called("get_messages");
        let look = |id: String| pb::MessageLookup {
            message: state.messages.get(&id).cloned(),
            id,
            ..pb::MessageLookup::default()
        };
        let ids = request.into_inner().message_ids;
        assert!(ids.len() <= 20, "{} at once", ids.len());
        Ok(Response::new(pb::GetMessagesReply { messages: ids.into_iter().map(look).collect() }))
    }

    async fn ensure_draft(&self, request: Request<pb::EnsureDraftRequest>) -> Answer<pb::EnsureDraftReply> {
        let mut state = self.called("ensure_draft");
        let outbox = request.into_inner().outbox_id;
        let message_id = format!("draft-{outbox}");
        let existed = state.drafts.insert(outbox.clone(), message_id.clone()).is_some();
        let already_sent = state.sent.contains(&message_id);
        Ok(Response::new(pb::EnsureDraftReply { message_id, existed, already_sent }))
    }

    async fn attach_file(
        &self,
        request: Request<Streaming<pb::AttachFileRequest>>,
    ) -> Answer<pb::AttachFileReply> {
        let (mut parts, mut name, mut size) = (request.into_inner(), String::new(), 0);
        while let Some(part) = parts.message().await? {
            match part.part {
                Some(pb::attach_file_request::Part::Head(head)) => name = head.name,
                Some(pb::attach_file_request::Part::Chunk(chunk)) => size += chunk.len(),
                None => return Err(Status::invalid_argument("an empty part")),
            }
        }
        self.called("attach_file").files.push((name, size));
        Ok(Response::new(pb::AttachFileReply { existed: false }))
    }

    async fn send_draft(&self, request: Request<pb::SendDraftRequest>) -> Answer<pb::SendDraftReply> {
        let mut state = self.called("send_draft");
        state.sent.push(request.into_inner().message_id);
        match std::mem::take(&mut state.lose) {
            Lost::Nothing => Ok(Response::new(pb::SendDraftReply {})),
            Lost::AfterEffect => Err(fault(pb::FaultKind::Ambiguous, "gatewayTimeout")),
        }
    }

    async fn find_outgoing(
        &self,
        request: Request<pb::FindOutgoingRequest>,
    ) -> Answer<pb::FindOutgoingReply> {
        let state = self.called("find_outgoing");
        let request = request.into_inner();
        let Some(draft) = state.drafts.get(&request.outbox_id) else {
            return Ok(Response::new(pb::FindOutgoingReply::default()));
        };
        let sent = state.sent.contains(draft);
        let found = if sent { pb::OutgoingState::Sent } else { pb::OutgoingState::Draft };
        Ok(Response::new(pb::FindOutgoingReply {
            state: found.into(),
            message_id: draft.clone(),
            internet_message_id: if sent { format!("<{draft}@example.com>") } else { String::new() },
            sent_at_us: None,
        }))
    }

    async fn delete_draft(&self, _: Request<pb::DeleteDraftRequest>) -> Answer<pb::DeleteDraftReply> {
        Err(Status::unimplemented("not in these tests"))
    }
}
