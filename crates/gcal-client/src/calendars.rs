//! Calendars that an account sees (CalendarList, Calendar v3).

use outbound::provider::Call;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{GcalClient, reads};
use crate::error::{Asked, GcalError};

const LIST: Call = reads("calendar_list");

/// A calendar in the account's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEntry {
    /// Its id.
    pub id: String,
    /// Its name, the account's own name for it first.
    pub summary: String,
    /// Its time zone.
    pub time_zone: String,
    /// `owner`, `writer`, `reader`, `freeBusyReader`.
    pub access_role: String,
    /// The account's own.
    pub primary: bool,
    /// Removed from the list.
    pub deleted: bool,
    /// The JSON, byte for byte.
    pub json: Box<str>,
}

/// A page of calendars.
#[derive(Debug, Clone, Default)]
pub struct CalendarPage {
    /// Calendars.
    pub calendars: Vec<CalendarEntry>,
    /// Where it goes on.
    pub next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageBody<'a> {
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct EntryBody {
    id: String,
    summary: String,
    summary_override: String,
    time_zone: String,
    access_role: String,
    primary: bool,
    deleted: bool,
}

fn read_page(body: &[u8]) -> Result<CalendarPage, serde_json::Error> {
    let body: PageBody<'_> = serde_json::from_slice(body)?;
    let mut calendars = Vec::with_capacity(body.items.len());
    for item in body.items {
        let entry: EntryBody = serde_json::from_str(item.get())?;
        let summary = if entry.summary_override.is_empty() { entry.summary } else { entry.summary_override };
        calendars.push(CalendarEntry {
            id: entry.id,
            summary,
            time_zone: entry.time_zone,
            access_role: entry.access_role,
            primary: entry.primary,
            deleted: entry.deleted,
            json: item.get().into(),
        });
    }
    Ok(CalendarPage { calendars, next_page_token: body.next_page_token })
}

impl GcalClient {
    /// One page of the account's calendars, hidden ones too.
    ///
    /// # Errors
    /// As every call.
    pub async fn list_calendars(&self, page_token: Option<&str>) -> Result<CalendarPage, GcalError> {
        let mut query = vec![("maxResults", "250"), ("showHidden", "true")];
        query.extend(page_token.map(|token| ("pageToken", token)));
        let url = self.url(LIST.operation, &["users", "me", "calendarList"], &query)?;
        self.read(&LIST, Asked::Read, url, read_page).await
    }
}
