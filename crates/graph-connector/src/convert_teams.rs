//! Teams from the client's words to the contract's, and back.

use contracts::fault::refused;
use contracts::graph::v1 as proto;
use graph_client::{Channel, Chat, Team, TeamsMessage, TeamsPlace};
use tonic::Status;

use crate::convert::micros;
use crate::convert_mail::attachment;

pub(crate) fn team(team: Team) -> proto::Team {
    proto::Team {
        id: team.id,
        name: team.display_name.unwrap_or_default(),
        description: team.description.unwrap_or_default(),
        archived: team.is_archived.unwrap_or_default(),
    }
}

pub(crate) fn channel(channel: Channel) -> proto::Channel {
    proto::Channel {
        id: channel.id,
        name: channel.display_name.unwrap_or_default(),
        membership_type: channel.membership_type.unwrap_or_default(),
        archived: channel.is_archived.unwrap_or_default(),
    }
}

pub(crate) fn chat(chat: Chat) -> proto::Chat {
    proto::Chat {
        id: chat.id,
        chat_type: chat.chat_type.unwrap_or_default(),
        topic: chat.topic.unwrap_or_default(),
        updated_at_us: chat.last_updated_date_time.map(micros),
    }
}

/// The place that a request names.
pub(crate) fn place(place: Option<proto::TeamsPlace>) -> Result<TeamsPlace, Status> {
    let place = place.unwrap_or_default();
    match (place.team_id.is_empty(), place.channel_id.is_empty(), place.chat_id.is_empty()) {
        (false, false, true) => Ok(TeamsPlace::Channel { team: place.team_id, channel: place.channel_id }),
        (true, true, false) => Ok(TeamsPlace::Chat(place.chat_id)),
        _ => Err(refused("invalidRequest", "a place is a team and a channel, or a chat")),
    }
}

fn place_of(place: &TeamsPlace) -> proto::TeamsPlace {
    match place.clone() {
        TeamsPlace::Channel { team, channel } => {
            proto::TeamsPlace { team_id: team, channel_id: channel, ..proto::TeamsPlace::default() }
        }
        TeamsPlace::Chat(chat) => proto::TeamsPlace { chat_id: chat, ..proto::TeamsPlace::default() },
    }
}

pub(crate) fn message(message: TeamsMessage, place: &TeamsPlace) -> proto::TeamsMessage {
    proto::TeamsMessage {
        id: message.id,
        place: Some(place_of(place)),
        reply_to_id: message.reply_to_id.unwrap_or_default(),
        message_type: message.message_type,
        subject: message.subject.unwrap_or_default(),
        body_type: message.body_type,
        body: message.body,
        body_truncated: message.body_truncated,
        from_user_id: message.from_user_id.unwrap_or_default(),
        from_name: message.from_name.unwrap_or_default(),
        importance: message.importance.unwrap_or_default(),
        attachments: message.attachments.into_iter().map(attachment).collect(),
        e_tag: message.e_tag.unwrap_or_default(),
        created_at_us: message.created_at.map(micros).unwrap_or_default(),
        modified_at_us: message.modified_at.map(micros),
        edited_at_us: message.edited_at.map(micros),
        deleted_at_us: message.deleted_at.map(micros),
        web_url: message.web_url.unwrap_or_default(),
    }
}

pub(crate) fn messages(list: Vec<TeamsMessage>, place: &TeamsPlace) -> Vec<proto::TeamsMessage> {
    list.into_iter().map(|one| message(one, place)).collect()
}
