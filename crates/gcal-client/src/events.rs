//! Events (Events, Calendar v3).

use outbound::http::Request;
use outbound::provider::Call;
use outbound::{HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{GcalClient, reads, writes};
use crate::error::{Asked, GcalError, GcalErrorKind};

const LIST: Call = reads("events_list");
const GET: Call = reads("events_get");
const INSTANCES: Call = reads("events_instances");
const INSERT: Call = writes("events_insert");
const PATCH: Call = writes("events_patch");
const UPDATE: Call = writes("events_update");
const DELETE: Call = writes("events_delete");

/// Parameters of every enumeration, part of a sync token's identity (provider facts A1): masters and overrides as
/// rows, tombstones from the beginning.
pub const EVENT_PARAMS: &str = "singleEvents=false&showDeleted=true";

/// An event as Google sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Empty when Google sent none (bare tombstones).
    pub etag: String,
    /// The JSON, byte for byte.
    pub json: Box<str>,
}

/// An item that is not an event that can be told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonEvent {
    /// The JSON, byte for byte.
    pub json: Box<str>,
    /// What is wrong.
    pub reason: String,
    /// Its id, if it has one.
    pub id: Option<String>,
}

/// What to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListEvents<'a> {
    /// From the last complete round.
    pub sync_token: Option<&'a str>,
    /// Within a round, together with the sync token if it began with one.
    pub page_token: Option<&'a str>,
    /// Events a page, 1 to 2,500.
    pub max_results: u32,
    /// A look-up; not together with a sync token.
    pub i_cal_uid: Option<&'a str>,
    /// A look-up, `name=value`; not together with a sync token.
    pub private_extended_property: Option<&'a str>,
}

/// Occurrences to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Instances<'a> {
    /// Within a listing.
    pub page_token: Option<&'a str>,
    /// RFC 3339.
    pub time_min: Option<&'a str>,
    /// RFC 3339.
    pub time_max: Option<&'a str>,
    /// Of one occurrence.
    pub original_start: Option<&'a str>,
    /// Cancelled ones too.
    pub show_deleted: bool,
    /// Events a page, 1 to 2,500.
    pub max_results: u32,
}

/// A page. It may be empty and still have a next one.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// Events.
    pub events: Vec<Event>,
    /// What could not be read.
    pub poison: Vec<PoisonEvent>,
    /// Where it goes on.
    pub next_page_token: Option<String>,
    /// On the last page.
    pub next_sync_token: Option<String>,
    /// Of the calendar.
    pub time_zone: Option<String>,
    /// Of the account on the calendar.
    pub access_role: Option<String>,
    /// JSON array.
    pub default_reminders: Option<Box<str>>,
}

/// A change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Write<'a> {
    /// Event body, JSON.
    pub json: &'a [u8],
    /// ETag that must still stand.
    pub if_match: Option<&'a str>,
    /// `all`, `externalOnly`, `none`; absent: none.
    pub send_updates: Option<&'a str>,
    /// The body touches `conferenceData`.
    pub conference: bool,
}

/// A deletion.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delete<'a> {
    /// ETag that must still stand.
    pub if_match: Option<&'a str>,
    /// `all`, `externalOnly`, `none`; absent: none.
    pub send_updates: Option<&'a str>,
}

/// What a deletion met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was there.
    Now,
    /// It was deleted before (410).
    Before,
    /// Google does not know it (404).
    Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageBody<'a> {
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
    next_page_token: Option<String>,
    next_sync_token: Option<String>,
    time_zone: Option<String>,
    access_role: Option<String>,
    #[serde(borrow)]
    default_reminders: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Head {
    id: Option<String>,
    etag: Option<String>,
}

fn read_event(json: &str) -> Result<Event, PoisonEvent> {
    let poison = |reason: String, id| PoisonEvent { json: json.into(), reason, id };
    let head: Head = serde_json::from_str(json).map_err(|fault| poison(fault.to_string(), None))?;
    match head.id.filter(|id| !id.is_empty()) {
        Some(id) => Ok(Event { id, etag: head.etag.unwrap_or_default(), json: json.into() }),
        None => Err(poison("the event has no id".to_owned(), None)),
    }
}

/// Reads a page of events.
///
/// # Errors
/// When it is not one.
pub fn read_page(body: &[u8]) -> Result<EventPage, serde_json::Error> {
    let body: PageBody<'_> = serde_json::from_slice(body)?;
    let mut page = EventPage {
        next_page_token: body.next_page_token,
        next_sync_token: body.next_sync_token,
        time_zone: body.time_zone,
        access_role: body.access_role,
        default_reminders: body.default_reminders.map(|json| json.get().into()),
        ..EventPage::default()
    };
    for item in body.items {
        match read_event(item.get()) {
            Ok(event) => page.events.push(event),
            Err(poison) => page.poison.push(poison),
        }
    }
    Ok(page)
}

fn one(body: &[u8]) -> Result<Event, serde_json::Error> {
    let json: &RawValue = serde_json::from_slice(body)?;
    read_event(json.get()).map_err(|poison| serde::de::Error::custom(poison.reason))
}

impl GcalClient {
    /// One page of a calendar's events.
    ///
    /// # Errors
    /// [`GcalErrorKind::FullSync`] when the token is gone; others as every call.
    pub async fn list_events(&self, calendar: &str, list: &ListEvents<'_>) -> Result<EventPage, GcalError> {
        let size = list.max_results.clamp(1, 2_500).to_string();
        let mut query =
            vec![("singleEvents", "false"), ("showDeleted", "true"), ("maxResults", size.as_str())];
        let optional = [
            ("syncToken", list.sync_token),
            ("pageToken", list.page_token),
            ("iCalUID", list.i_cal_uid),
            ("privateExtendedProperty", list.private_extended_property),
        ];
        query.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let url = self.url(LIST.operation, &["calendars", calendar, "events"], &query)?;
        let asked = if list.sync_token.or(list.page_token).is_some() { Asked::Cursor } else { Asked::Read };
        self.read(&LIST, asked, url, read_page).await
    }

    /// One page of the occurrences of a series.
    ///
    /// # Errors
    /// As every call.
    pub async fn instances(
        &self,
        calendar: &str,
        event: &str,
        list: &Instances<'_>,
    ) -> Result<EventPage, GcalError> {
        let size = list.max_results.clamp(1, 2_500).to_string();
        let deleted = if list.show_deleted { "true" } else { "false" };
        let mut query = vec![("maxResults", size.as_str()), ("showDeleted", deleted)];
        let optional = [
            ("pageToken", list.page_token),
            ("timeMin", list.time_min),
            ("timeMax", list.time_max),
            ("originalStart", list.original_start),
        ];
        query.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let segments = ["calendars", calendar, "events", event, "instances"];
        let url = self.url(INSTANCES.operation, &segments, &query)?;
        self.read(&INSTANCES, Asked::Read, url, read_page).await
    }

    /// One event, cancelled ones too; `None` when Google does not know it.
    ///
    /// # Errors
    /// As every call.
    pub async fn get_event(&self, calendar: &str, event: &str) -> Result<Option<Event>, GcalError> {
        let url = self.url(GET.operation, &["calendars", calendar, "events", event], &[])?;
        match self.read(&GET, Asked::Read, url, one).await {
            Err(error) if error.kind == GcalErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Inserts an event whose JSON carries its minted id.
    ///
    /// # Errors
    /// [`GcalErrorKind::Duplicate`] when the id is taken, perhaps by something deleted;
    /// [`GcalErrorKind::Ambiguous`] when it may have landed; others as every call.
    pub async fn insert_event(&self, calendar: &str, write: &Write<'_>) -> Result<Event, GcalError> {
        let query = write_query(write.send_updates, Some(write.conference));
        let url = self.url(INSERT.operation, &["calendars", calendar, "events"], &query)?;
        self.write(&INSERT, json_body(GcalClient::post(url), write.json), one).await
    }

    /// Changes fields: objects are merged, arrays replaced, null deletes.
    ///
    /// # Errors
    /// [`GcalErrorKind::Precondition`] when the ETag stands no more; [`GcalErrorKind::Ambiguous`] when it may have
    /// landed; others as every call.
    pub async fn patch_event(
        &self,
        calendar: &str,
        event: &str,
        write: &Write<'_>,
    ) -> Result<Event, GcalError> {
        self.change(&PATCH, Method::PATCH, calendar, event, write).await
    }

    /// Replaces the event: what the body leaves out is gone.
    ///
    /// # Errors
    /// As [`GcalClient::patch_event`].
    pub async fn update_event(
        &self,
        calendar: &str,
        event: &str,
        write: &Write<'_>,
    ) -> Result<Event, GcalError> {
        self.change(&UPDATE, Method::PUT, calendar, event, write).await
    }

    async fn change(
        &self,
        call: &Call,
        method: Method,
        calendar: &str,
        event: &str,
        write: &Write<'_>,
    ) -> Result<Event, GcalError> {
        let query = write_query(write.send_updates, Some(write.conference));
        let url = self.url(call.operation, &["calendars", calendar, "events", event], &query)?;
        let request = json_body(Request::new(method, url), write.json);
        self.write(call, if_match(call.operation, request, write.if_match)?, one).await
    }

    /// Deletes an event, or one occurrence of a series.
    ///
    /// # Errors
    /// As [`GcalClient::patch_event`].
    pub async fn delete_event(
        &self,
        calendar: &str,
        event: &str,
        delete: &Delete<'_>,
    ) -> Result<Deleted, GcalError> {
        let query = write_query(delete.send_updates, None);
        let url = self.url(DELETE.operation, &["calendars", calendar, "events", event], &query)?;
        let request = if_match(DELETE.operation, Request::new(Method::DELETE, url), delete.if_match)?;
        match self.send(&DELETE, Asked::Write, request).await {
            Ok(_) => Ok(Deleted::Now),
            Err(error) if error.kind == GcalErrorKind::Deleted => Ok(Deleted::Before),
            Err(error) if error.kind == GcalErrorKind::NotFound => Ok(Deleted::Unknown),
            Err(error) => Err(error),
        }
    }
}

/// Nobody gets mail that nobody asked for; attachments that the body carries are kept.
fn write_query(send_updates: Option<&str>, conference: Option<bool>) -> Vec<(&'static str, &str)> {
    let mut query = vec![("sendUpdates", send_updates.unwrap_or("none"))];
    if let Some(conference) = conference {
        query.push(("supportsAttachments", "true"));
        if conference {
            query.push(("conferenceDataVersion", "1"));
        }
    }
    query
}

fn json_body(request: Request, json: &[u8]) -> Request {
    let mut request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.body = json.to_vec().into();
    request
}

fn if_match(operation: &'static str, request: Request, etag: Option<&str>) -> Result<Request, GcalError> {
    let Some(etag) = etag else { return Ok(request) };
    let value = HeaderValue::from_str(etag).map_err(|_| {
        let message = "the ETag has characters that a header cannot carry".to_owned();
        GcalError::own(operation, GcalErrorKind::Refused, "invalidEtag", message)
    })?;
    Ok(request.header(header::IF_MATCH, value))
}
