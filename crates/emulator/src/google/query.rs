//! Query parameters of Calendar calls.

use super::model::{ApiError, ListParams, PageTrouble, SendUpdates, WriteParams};
use crate::http::{Call, PageFault, query_pairs};

fn all(call: &Call, name: &str) -> Vec<String> {
    query_pairs(&call.query).filter(|(key, _)| key == name).map(|(_, value)| value).collect()
}

fn one(call: &Call, name: &str) -> Option<String> {
    query_pairs(&call.query)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
        .filter(|text| !text.is_empty())
}

fn number(call: &Call, name: &'static str) -> Result<Option<usize>, ApiError> {
    one(call, name)
        .map(|text| {
            text.parse().map_err(|_| ApiError::parameter(name, format!("Invalid integer value: '{text}'.")))
        })
        .transpose()
}

pub(crate) fn flag(call: &Call, name: &'static str) -> Result<Option<bool>, ApiError> {
    match one(call, name).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(ApiError::parameter(name, format!("Invalid boolean value: '{other}'."))),
    }
}

pub(crate) fn text(call: &Call, name: &str) -> Option<String> {
    one(call, name)
}

pub(crate) fn list(call: &Call) -> Result<ListParams, ApiError> {
    Ok(ListParams {
        max_results: number(call, "maxResults")?,
        page_token: one(call, "pageToken"),
        sync_token: one(call, "syncToken"),
        single_events: flag(call, "singleEvents")?.unwrap_or(false),
        show_deleted: flag(call, "showDeleted")?,
        time_min: one(call, "timeMin"),
        time_max: one(call, "timeMax"),
        updated_min: one(call, "updatedMin"),
        time_zone: one(call, "timeZone"),
        ical_uid: one(call, "iCalUID"),
        q: one(call, "q"),
        order_by: one(call, "orderBy"),
        event_types: all(call, "eventTypes"),
        private_properties: all(call, "privateExtendedProperty"),
        shared_properties: all(call, "sharedExtendedProperty"),
        max_attendees: number(call, "maxAttendees")?,
        show_hidden_invitations: flag(call, "showHiddenInvitations")?.unwrap_or(false),
        original_start: one(call, "originalStart"),
        trouble: call.page_fault.map(|fault| match fault {
            PageFault::Empty => PageTrouble::Empty,
            PageFault::Loop => PageTrouble::Loop,
        }),
    })
}

pub(crate) fn write(call: &Call) -> Result<WriteParams, ApiError> {
    let send_updates = match one(call, "sendUpdates").as_deref() {
        Some("all") => SendUpdates::All,
        Some("externalOnly") => SendUpdates::ExternalOnly,
        Some("none") => SendUpdates::None,
        Some(other) => {
            return Err(ApiError::parameter("sendUpdates", format!("Invalid value '{other}'.")));
        }
        None if flag(call, "sendNotifications")? == Some(true) => SendUpdates::All,
        None => SendUpdates::None,
    };
    Ok(WriteParams {
        if_match: call.header("if-match").map(ToOwned::to_owned),
        send_updates,
        conference_data_version: number(call, "conferenceDataVersion")?.unwrap_or(0) as u32,
        supports_attachments: flag(call, "supportsAttachments")?.unwrap_or(false),
        event_label_version: number(call, "eventLabelVersion")?.unwrap_or(0) as u32,
        max_attendees: number(call, "maxAttendees")?,
    })
}
