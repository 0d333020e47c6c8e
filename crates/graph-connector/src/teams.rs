//! The gRPC service of Teams.

use contracts::fault::refused;
use contracts::graph::v1::graph_teams_server::GraphTeams;
use contracts::graph::v1::{
    ChannelMessageDeltaReply, ChannelMessageDeltaRequest, GetTeamsMessageReply, GetTeamsMessageRequest,
    ListChannelsReply, ListChannelsRequest, ListChatMessagesReply, ListChatMessagesRequest, ListChatsReply,
    ListChatsRequest, ListRepliesReply, ListRepliesRequest, ListTeamsReply, ListTeamsRequest, PostCardReply,
    PostCardRequest, channel_message_delta_reply as delta_reply,
};
use graph_client::{ChannelPage, NextLink, TeamsPlace};
use tonic::{Request, Response, Status};

use crate::clients::priority;
use crate::convert::poison;
use crate::convert_mail::window;
use crate::convert_teams::{channel, chat, message, messages, place, team};
use crate::fault::status;
use crate::mail::given;
use crate::permissions::{CHANNEL_MESSAGES_READ, CHANNELS_READ, CHATS_READ, TEAMS_READ};
use crate::server::Connector;
use crate::settings::workflows;

fn named(id: &str, what: &str) -> Result<String, Status> {
    if id.is_empty() { Err(refused("invalidRequest", format!("{what} is empty"))) } else { Ok(id.to_owned()) }
}

fn in_channel(team: &str, channel: &str) -> Result<TeamsPlace, Status> {
    Ok(TeamsPlace::Channel { team: named(team, "team_id")?, channel: named(channel, "channel_id")? })
}

#[tonic::async_trait]
impl GraphTeams for Connector {
    async fn list_teams(
        &self,
        request: Request<ListTeamsRequest>,
    ) -> Result<Response<ListTeamsReply>, Status> {
        let request = request.into_inner();
        let _turn = self.turn().await?;
        let graph = self.clients.teams().client.with_priority(priority(request.context.as_ref()));
        let page = self.learn(TEAMS_READ, graph.teams(given(&request.link)).await)?;
        Ok(Response::new(ListTeamsReply {
            teams: page.items.into_iter().map(team).collect(),
            next_link: page.next_link.unwrap_or_default(),
        }))
    }

    async fn list_channels(
        &self,
        request: Request<ListChannelsRequest>,
    ) -> Result<Response<ListChannelsReply>, Status> {
        let request = request.into_inner();
        let team_id = named(&request.team_id, "team_id")?;
        let _turn = self.turn().await?;
        let graph = self.clients.teams().client.with_priority(priority(request.context.as_ref()));
        let page = self.learn(CHANNELS_READ, graph.channels(&team_id, given(&request.link)).await)?;
        Ok(Response::new(page.map_or_else(ListChannelsReply::default, |page| ListChannelsReply {
            found: true,
            channels: page.items.into_iter().map(channel).collect(),
            next_link: page.next_link.unwrap_or_default(),
        })))
    }

    async fn list_chats(
        &self,
        request: Request<ListChatsRequest>,
    ) -> Result<Response<ListChatsReply>, Status> {
        let request = request.into_inner();
        let user = named(&request.user_id, "user_id")?;
        let _turn = self.turn().await?;
        let graph = self.clients.teams().client.with_priority(priority(request.context.as_ref()));
        let page = self.learn(CHATS_READ, graph.chats(&user, given(&request.link)).await)?;
        Ok(Response::new(page.map_or_else(ListChatsReply::default, |page| ListChatsReply {
            found: true,
            chats: page.items.into_iter().map(chat).collect(),
            next_link: page.next_link.unwrap_or_default(),
        })))
    }

    async fn channel_message_delta(
        &self,
        request: Request<ChannelMessageDeltaRequest>,
    ) -> Result<Response<ChannelMessageDeltaReply>, Status> {
        let request = request.into_inner();
        let place = in_channel(&request.team_id, &request.channel_id)?;
        let _turn = self.turn().await?;
        let graph = self.clients.teams_place(&place).client.with_priority(priority(request.context.as_ref()));
        let (team, channel, link) = (&request.team_id, &request.channel_id, given(&request.link));
        let page = graph.channel_delta(team, channel, link, self.body_limit).await;
        let page = match self.learn(CHANNEL_MESSAGES_READ, page)? {
            ChannelPage::Changes(page) => page,
            ChannelPage::NothingYet => {
                let next = Some(delta_reply::Next::NothingYet(true));
                return Ok(Response::new(ChannelMessageDeltaReply { next, ..Default::default() }));
            }
        };
        let next = match page.next {
            NextLink::Next(link) => delta_reply::Next::NextLink(link),
            NextLink::Delta(link) => delta_reply::Next::DeltaLink(link),
        };
        Ok(Response::new(ChannelMessageDeltaReply {
            messages: messages(page.items, &place),
            poison: poison(page.poison),
            next: Some(next),
        }))
    }

    async fn list_replies(
        &self,
        request: Request<ListRepliesRequest>,
    ) -> Result<Response<ListRepliesReply>, Status> {
        let request = request.into_inner();
        let place = in_channel(&request.team_id, &request.channel_id)?;
        let root = named(&request.message_id, "message_id")?;
        let _turn = self.turn().await?;
        let graph = self.clients.teams_place(&place).client.with_priority(priority(request.context.as_ref()));
        let (team, channel, link) = (&request.team_id, &request.channel_id, given(&request.link));
        let page = graph.replies(team, channel, &root, link, self.body_limit).await;
        let page = self.learn(CHANNEL_MESSAGES_READ, page)?;
        Ok(Response::new(page.map_or_else(ListRepliesReply::default, |page| ListRepliesReply {
            found: true,
            messages: messages(page.items, &place),
            poison: poison(page.poison),
            next_link: page.next_link.unwrap_or_default(),
        })))
    }

    async fn list_chat_messages(
        &self,
        request: Request<ListChatMessagesRequest>,
    ) -> Result<Response<ListChatMessagesReply>, Status> {
        let request = request.into_inner();
        let place = TeamsPlace::Chat(named(&request.chat_id, "chat_id")?);
        let _turn = self.turn().await?;
        let graph = self.clients.teams_place(&place).client.with_priority(priority(request.context.as_ref()));
        let window = window(request.from_us, request.to_us);
        let page = graph.chat_messages(&request.chat_id, window, given(&request.link), self.body_limit).await;
        let page = self.learn(CHATS_READ, page)?;
        Ok(Response::new(page.map_or_else(ListChatMessagesReply::default, |page| ListChatMessagesReply {
            found: true,
            messages: messages(page.items, &place),
            poison: poison(page.poison),
            next_link: page.next_link.unwrap_or_default(),
        })))
    }

    async fn get_teams_message(
        &self,
        request: Request<GetTeamsMessageRequest>,
    ) -> Result<Response<GetTeamsMessageReply>, Status> {
        let request = request.into_inner();
        let at = place(request.place)?;
        let id = named(&request.message_id, "message_id")?;
        let permission = match at {
            TeamsPlace::Channel { .. } => CHANNEL_MESSAGES_READ,
            TeamsPlace::Chat(_) => CHATS_READ,
        };
        let _turn = self.turn().await?;
        let graph = self.clients.teams_place(&at).client.with_priority(priority(request.context.as_ref()));
        let found = graph.teams_message(&at, &id, given(&request.reply_to_id), self.body_limit).await;
        Ok(Response::new(match self.learn(permission, found)? {
            None => GetTeamsMessageReply::default(),
            Some(Ok(found)) => GetTeamsMessageReply { message: Some(message(found, &at)), poison: None },
            Some(Err(bad)) => GetTeamsMessageReply { message: None, poison: poison(vec![bad]).pop() },
        }))
    }

    async fn post_card(&self, request: Request<PostCardRequest>) -> Result<Response<PostCardReply>, Status> {
        let request = request.into_inner();
        let card = serde_json::from_str(&request.card_json)
            .map_err(|error| refused("invalidRequest", format!("the card is not JSON: {error}")))?;
        let unset =
            || refused("notConfigured", "TEAMS_WORKFLOW_URLS is not set: cards need a workflow's address");
        let source = self.workflow_urls.as_ref().ok_or_else(unset)?;
        let urls = workflows(source)
            .map_err(|fault| refused("notConfigured", format!("TEAMS_WORKFLOW_URLS: {fault}")))?;
        let Some(url) = urls.get(&request.workflow) else {
            let message = format!("TEAMS_WORKFLOW_URLS has no workflow `{}`", request.workflow);
            return Err(refused("notConfigured", message));
        };
        let _turn = self.turn().await?;
        let graph = self.clients.workflow(&request.workflow).client;
        let graph = graph.with_priority(priority(request.context.as_ref()));
        graph.post_card(url, &self.workflow_hosts, &card).await.map_err(|error| status(&error))?;
        Ok(Response::new(PostCardReply {}))
    }
}
