//! Teams, channels, chats (teams-list, channel-list, chat-list; Graph v1.0).

use chrono::{DateTime, Utc};
use domain::names::encode_segment;
use outbound::provider::Call;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::messages::MAX_TEAMS_PAGE;
use crate::client::{GraphClient, found, reads};
use crate::error::GraphError;
use crate::page::{ListPage, instant, listed, switch};

const TEAMS: Call = reads("team_list");
const CHANNELS: Call = reads("channel_list");
const CHATS: Call = reads("chat_list");

/// A team.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Team {
    /// Id.
    pub id: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Read-only.
    #[serde(default, deserialize_with = "switch")]
    pub is_archived: Option<bool>,
}

/// A channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Id.
    pub id: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// `standard`, `private`, `shared`, or a word that is newer than this code.
    pub membership_type: Option<String>,
    /// Read-only.
    #[serde(default, deserialize_with = "switch")]
    pub is_archived: Option<bool>,
}

/// A chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// Id.
    pub id: String,
    /// `oneOnOne`, `group`, `meeting`, or a word that is newer than this code.
    pub chat_type: Option<String>,
    /// Topic.
    pub topic: Option<String>,
    /// Last change of the chat itself, not of its messages.
    #[serde(default, deserialize_with = "instant")]
    pub last_updated_date_time: Option<DateTime<Utc>>,
}

impl GraphClient {
    /// One page of the organisation's teams; `link` continues, verbatim.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn teams(&self, link: Option<&str>) -> Result<ListPage<Team>, GraphError> {
        let page = self.places(&TEAMS, "/teams", "", link).await?;
        Ok(page.unwrap_or(ListPage { items: Vec::new(), poison: Vec::new(), next_link: None }))
    }

    /// One page of a team's channels; `None` when there is no such team.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn channels(
        &self,
        team: &str,
        link: Option<&str>,
    ) -> Result<Option<ListPage<Channel>>, GraphError> {
        self.places(&CHANNELS, &format!("/teams/{}/channels", encode_segment(team)), "", link).await
    }

    /// One page of a user's chats; `None` when there is no such user.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn chats(&self, user: &str, link: Option<&str>) -> Result<Option<ListPage<Chat>>, GraphError> {
        let top = format!("$top={MAX_TEAMS_PAGE}");
        self.places(&CHATS, &format!("/users/{}/chats", encode_segment(user)), &top, link).await
    }

    async fn places<T: DeserializeOwned>(
        &self,
        call: &Call,
        path: &str,
        query: &str,
        link: Option<&str>,
    ) -> Result<Option<ListPage<T>>, GraphError> {
        let url = if let Some(link) = link {
            self.link(call.operation, link)?
        } else {
            let mut url = self.url(call.operation, path)?;
            url.set_query(Some(query).filter(|query| !query.is_empty()));
            url
        };
        let decode =
            |body: &[u8]| listed(body, |raw| serde_json::from_str::<T>(raw).map_err(|e| e.to_string()));
        let page = found(self.read(call, url, link.is_some(), decode).await)?;
        Ok(page.map(crate::page::Listed::list))
    }
}
