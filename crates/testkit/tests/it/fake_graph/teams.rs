//! Channels, chats and cards.

use async_trait::async_trait;
use contracts::graph::v1 as pb;
use contracts::graph::v1::channel_message_delta_reply::Next;
use contracts::graph::v1::graph_teams_server::GraphTeams;
use tonic::{Request, Response, Status};

use super::{Answer, FakeGraph, Lost, chrono_us, fault};

/// A message of a channel (`root` empty: a root message) or chat.
pub fn message(id: &str, root: &str) -> pb::TeamsMessage {
    pb::TeamsMessage {
        id: id.to_owned(),
        reply_to_id: root.to_owned(),
        message_type: "message".to_owned(),
        body_type: "html".to_owned(),
        body: format!("<p>Text of {id}</p>"),
        from_name: "Bob".to_owned(),
        e_tag: "1".to_owned(),
        created_at_us: chrono_us(),
        modified_at_us: Some(chrono_us()),
        ..pb::TeamsMessage::default()
    }
}

#[async_trait]
impl GraphTeams for FakeGraph {
    async fn list_teams(&self, _: Request<pb::ListTeamsRequest>) -> Answer<pb::ListTeamsReply> {
        Err(Status::unimplemented("not in these tests"))
    }

    async fn list_channels(&self, _: Request<pb::ListChannelsRequest>) -> Answer<pb::ListChannelsReply> {
        Err(Status::unimplemented("not in these tests"))
    }

    async fn list_chats(&self, _: Request<pb::ListChatsRequest>) -> Answer<pb::ListChatsReply> {
        Err(Status::unimplemented("not in these tests"))
    }

    async fn channel_message_delta(
        &self,
        _: Request<pb::ChannelMessageDeltaRequest>,
    ) -> Answer<pb::ChannelMessageDeltaReply> {
        let state = self.called("channel_message_delta");
        let messages: Vec<_> = state.roots.values().cloned().collect();
        let next =
            if messages.is_empty() { Next::NothingYet(true) } else { Next::DeltaLink("channel".to_owned()) };
        Ok(Response::new(pb::ChannelMessageDeltaReply { messages, poison: Vec::new(), next: Some(next) }))
    }

    async fn list_replies(&self, request: Request<pb::ListRepliesRequest>) -> Answer<pb::ListRepliesReply> {
        let state = self.called("list_replies");
        let root = request.into_inner().message_id;
        let messages = state.replies.get(&root).cloned().unwrap_or_default();
        Ok(Response::new(pb::ListRepliesReply { found: true, messages, ..pb::ListRepliesReply::default() }))
    }

    async fn list_chat_messages(
        &self,
        request: Request<pb::ListChatMessagesRequest>,
    ) -> Answer<pb::ListChatMessagesReply> {
        let state = self.called("list_chat_messages");
        let from = request.into_inner().from_us;
        let since = |m: &&pb::TeamsMessage| m.modified_at_us.unwrap_or_default() >= from;
        let messages = state.chat.iter().filter(since).cloned().collect();
        let reply =
            pb::ListChatMessagesReply { found: true, messages, ..pb::ListChatMessagesReply::default() };
        Ok(Response::new(reply))
    }

    async fn get_teams_message(
        &self,
        request: Request<pb::GetTeamsMessageRequest>,
    ) -> Answer<pb::GetTeamsMessageReply> {
        let state = self.called("get_teams_message");
        let request = request.into_inner();
        let message = match (request.place.unwrap_or_default().chat_id.as_str(), request.reply_to_id.as_str())
        {
            ("", "") => state.roots.get(&request.message_id).cloned(),
            ("", root) => state
                .replies
                .get(root)
                .and_then(|all| all.iter().find(|m| m.id == request.message_id))
                .cloned(),
            _ => state.chat.iter().find(|m| m.id == request.message_id).cloned(),
        };
        Ok(Response::new(pb::GetTeamsMessageReply { message, poison: None }))
    }

    async fn post_card(&self, request: Request<pb::PostCardRequest>) -> Answer<pb::PostCardReply> {
        let mut state = self.called("post_card");
        state.cards.push(request.into_inner().card_json);
        match std::mem::take(&mut state.lose) {
            Lost::Nothing => Ok(Response::new(pb::PostCardReply {})),
            Lost::AfterEffect => Err(fault(pb::FaultKind::Ambiguous, "gatewayTimeout")),
        }
    }
}
