//! From the client's words to the contract's.

use contracts::gcal::v1 as proto;
use gcal_client::{CalendarEntry, Event, EventPage};

pub(crate) fn event(event: Event) -> proto::ProviderEvent {
    proto::ProviderEvent { id: event.id, etag: event.etag, json: event.json.into_string().into_bytes() }
}

pub(crate) fn page(page: EventPage) -> proto::ListEventsReply {
    let poison = page.poison.into_iter().map(|poison| proto::PoisonEvent {
        raw_json: poison.json.into_string(),
        reason: poison.reason,
        event_id: poison.id.unwrap_or_default(),
    });
    proto::ListEventsReply {
        events: page.events.into_iter().map(event).collect(),
        poison: poison.collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
        next_sync_token: page.next_sync_token.unwrap_or_default(),
        time_zone: page.time_zone.unwrap_or_default(),
        access_role: page.access_role.unwrap_or_default(),
        default_reminders: page
            .default_reminders
            .map(|json| json.into_string().into_bytes())
            .unwrap_or_default(),
    }
}

pub(crate) fn calendar(entry: CalendarEntry) -> proto::CalendarEntry {
    proto::CalendarEntry {
        id: entry.id,
        summary: entry.summary,
        time_zone: entry.time_zone,
        access_role: entry.access_role,
        primary: entry.primary,
        deleted: entry.deleted,
        json: entry.json.into_string().into_bytes(),
    }
}

/// An empty text is none.
pub(crate) fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
