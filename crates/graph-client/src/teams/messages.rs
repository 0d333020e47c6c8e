//! Messages of channels and chats (chatmessage-delta, chatmessage-list-replies, chat-list-messages,
//! chatmessage-get; Graph v1.0).

use domain::names::encode_segment;
use outbound::Url;
use outbound::provider::Call;

use super::message::{TeamsMessage, TeamsPlace, read_teams_message};
use crate::client::{GraphClient, found, reads};
use crate::error::GraphError;
use crate::items::{PoisonItem, poison};
use crate::mail::Window;
use crate::page::{ChangePage, ListPage, Listed, listed};

const DELTA: Call = reads("channel_delta");
const REPLIES: Call = reads("reply_list");
const CHAT: Call = reads("chat_message_list");
const MESSAGE: Call = reads("teams_message");

/// Messages a page; Teams takes no larger ones (chatmessage-delta).
pub const MAX_TEAMS_PAGE: u32 = 50;

/// One page of a channel's feed.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelPage {
    /// Changes.
    Changes(ChangePage<TeamsMessage>),
    /// The channel is empty or too new to have a feed (pain 15): keep no cursor, come back later.
    NothingYet,
}

impl GraphClient {
    /// One page of a channel's changed root messages, of the last eight months at first; `link` continues, verbatim.
    ///
    /// # Errors
    /// [`GraphError`]; `Resync` when the cursor is gone.
    pub async fn channel_delta(
        &self,
        team: &str,
        channel: &str,
        link: Option<&str>,
        body_limit: usize,
    ) -> Result<ChannelPage, GraphError> {
        let path = format!("{}/delta", messages_of(&place(team, channel)));
        let url = self.messages_url(&DELTA, &path, link, "")?;
        match self.messages_page(&DELTA, url, link.is_some(), body_limit).await {
            Ok(page) => page.changes(DELTA.operation).map(ChannelPage::Changes),
            Err(error) if nothing_yet(&error, link.is_none()) => {
                tracing::debug!(team, channel, status = error.status, "the channel has no feed yet");
                Ok(ChannelPage::NothingYet)
            }
            Err(error) => Err(error),
        }
    }

    /// One page of the replies to a root message; `None` when there is no such message.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn replies(
        &self,
        team: &str,
        channel: &str,
        message: &str,
        link: Option<&str>,
        body_limit: usize,
    ) -> Result<Option<ListPage<TeamsMessage>>, GraphError> {
        let path = format!("{}/{}/replies", messages_of(&place(team, channel)), encode_segment(message));
        let url = self.messages_url(&REPLIES, &path, link, "")?;
        Ok(found(self.messages_page(&REPLIES, url, link.is_some(), body_limit).await)?.map(Listed::list))
    }

    /// One page of a chat's messages by last change, newest first; `None` when there is no such chat.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn chat_messages(
        &self,
        chat: &str,
        window: Window,
        link: Option<&str>,
        body_limit: usize,
    ) -> Result<Option<ListPage<TeamsMessage>>, GraphError> {
        let path = messages_of(&TeamsPlace::Chat(chat.to_owned()));
        let url = self.messages_url(&CHAT, &path, link, &chat_query(window))?;
        Ok(found(self.messages_page(&CHAT, url, link.is_some(), body_limit).await)?.map(Listed::list))
    }

    /// One message; `None` when there is none, `Err` inside when it cannot be read.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn teams_message(
        &self,
        place: &TeamsPlace,
        message: &str,
        reply_to: Option<&str>,
        body_limit: usize,
    ) -> Result<Option<Result<TeamsMessage, PoisonItem>>, GraphError> {
        let messages = messages_of(place);
        let message = encode_segment(message);
        let path = match (place, reply_to) {
            (TeamsPlace::Channel { .. }, Some(root)) => {
                format!("{messages}/{}/replies/{message}", encode_segment(root))
            }
            _ => format!("{messages}/{message}"),
        };
        let decode = |body: &[u8]| serde_json::from_slice::<Box<serde_json::value::RawValue>>(body);
        let url = self.url(MESSAGE.operation, &path)?;
        let raw = found(self.read(&MESSAGE, url, false, decode).await)?;
        Ok(raw
            .map(|raw| read_teams_message(raw.get(), body_limit).map_err(|reason| poison(raw.get(), reason))))
    }

    fn messages_url(
        &self,
        call: &Call,
        path: &str,
        link: Option<&str>,
        more: &str,
    ) -> Result<Url, GraphError> {
        if let Some(link) = link {
            return self.link(call.operation, link);
        }
        let mut url = self.url(call.operation, path)?;
        url.set_query(Some(&format!("$top={MAX_TEAMS_PAGE}{more}")));
        Ok(url)
    }

    async fn messages_page(
        &self,
        call: &Call,
        url: Url,
        on_link: bool,
        body_limit: usize,
    ) -> Result<Listed<TeamsMessage>, GraphError> {
        self.read(call, url, on_link, |body| listed(body, |raw| read_teams_message(raw, body_limit))).await
    }
}

fn place(team: &str, channel: &str) -> TeamsPlace {
    TeamsPlace::Channel { team: team.to_owned(), channel: channel.to_owned() }
}

fn messages_of(place: &TeamsPlace) -> String {
    match place {
        TeamsPlace::Channel { team, channel } => {
            format!("/teams/{}/channels/{}/messages", encode_segment(team), encode_segment(channel))
        }
        TeamsPlace::Chat(chat) => format!("/chats/{}/messages", encode_segment(chat)),
    }
}

/// `gt` and `lt` alone are supported, and the order must be that of the filter (chat-list-messages).
fn chat_query(window: Window) -> String {
    use crate::mail::written;
    let from = window.from.map(|at| {
        let before = at - chrono::TimeDelta::milliseconds(1);
        format!("lastModifiedDateTime gt {}", written(before))
    });
    let to = window.to.map(|at| format!("lastModifiedDateTime lt {}", written(at)));
    let filter: Vec<String> = from.into_iter().chain(to).collect();
    let filter = if filter.is_empty() { String::new() } else { format!("&$filter={}", filter.join(" and ")) };
    format!("&$orderby=lastModifiedDateTime desc{filter}")
}

/// An empty channel's nextLink answers 400 "Parameter 'DeltaToken' not supported for this request"
/// (msgraph-beta-sdk-dotnet#243): only the message tells. A new team's first page answers 502 (GD#6451).
fn nothing_yet(error: &GraphError, first: bool) -> bool {
    match error.status {
        Some(400) => error.message.contains("DeltaToken") && error.message.contains("not supported"),
        Some(502) => first,
        _ => false,
    }
}
