//! An event as it is shown, and its version.

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;
use store::calendar::app_events::AppEvent;
use utoipa::ToSchema;
use uuid::Uuid;
use web::json::Json;
use web::problem::Problem;

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventBody {
    id: Uuid,
    title: Option<String>,
    description: Option<String>,
    location: Option<String>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    start_date: Option<NaiveDate>,
    /// The first day after it.
    end_date: Option<NaiveDate>,
    time_zone: Option<String>,
    all_day: bool,
    /// RRULE, EXRULE, RDATE, EXDATE lines of a series; empty for a single event.
    recurrence: Vec<String>,
    /// Whole objects, with what the provider added.
    attendees: Vec<Value>,
    reminders: Option<Value>,
    /// `confirmed` or `tentative`; null is confirmed.
    status: Option<String>,
    visibility: Option<String>,
    transparency: Option<String>,
    color_id: Option<String>,
    conference: Option<Value>,
    /// `default`, or a type of the provider's.
    event_type: String,
    /// The series, of an exception.
    series_event_id: Option<Uuid>,
    recurring_event_id: Option<String>,
    /// Where the series puts it, of an exception.
    original_start: Option<String>,
    connection_id: Option<Uuid>,
    google_calendar_id: Option<String>,
    google_event_id: Option<String>,
    /// Who wrote it last: `app` or `google`.
    last_update_source: Option<String>,
    last_synced_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// For `If-Match`.
    etag: String,
}

impl From<AppEvent> for EventBody {
    fn from(e: AppEvent) -> Self {
        let etag = etag(&e);
        let attendees = match e.content.attendees {
            Some(Value::Array(attendees)) => attendees,
            _ => Vec::new(),
        };
        Self {
            id: e.id,
            title: e.content.title,
            description: e.content.description,
            location: e.content.location,
            start_at: e.content.start_at,
            end_at: e.content.end_at,
            start_date: e.content.start_date,
            end_date: e.content.end_date,
            time_zone: e.content.time_zone,
            all_day: e.all_day,
            recurrence: e.content.recurrence.unwrap_or_default(),
            attendees,
            reminders: e.content.reminders,
            status: e.content.status,
            visibility: e.content.visibility,
            transparency: e.content.transparency,
            color_id: e.content.color_id,
            conference: e.conference,
            event_type: e.event_type,
            series_event_id: e.series_event_id,
            recurring_event_id: e.recurring_event_id,
            original_start: e.original_start,
            connection_id: e.connection_id,
            google_calendar_id: e.google_calendar_id,
            google_event_id: e.google_event_id,
            last_update_source: e.last_update_source,
            last_synced_at: e.last_synced_at,
            deleted_at: e.deleted_at,
            created_at: e.created_at,
            updated_at: e.updated_at,
            etag,
        }
    }
}

/// The version: either side's write moves it.
pub fn etag(event: &AppEvent) -> String {
    format!("\"{}-{:x}\"", event.app_version, event.updated_at.timestamp_micros())
}

/// The event with its version in the header.
pub fn shown(event: AppEvent) -> Response {
    let tag = HeaderValue::from_str(&etag(&event)).ok();
    let mut response = (StatusCode::OK, Json(EventBody::from(event))).into_response();
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Refuses a write that does not know the event as it stands.
///
/// # Errors
/// 428 without `If-Match`, 412 when none of its versions is the event's.
pub fn check(headers: &HeaderMap, event: &AppEvent) -> Result<(), Problem> {
    let mut given = headers.get_all(IF_MATCH).iter().peekable();
    if given.peek().is_none() {
        let detail = "say with If-Match which version of the event you know; its ETag, or *";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail));
    }
    let current = etag(event);
    let known = given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || tag.trim() == current);
    if known {
        return Ok(());
    }
    let detail = "the event was changed meanwhile; read it again";
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail).with("etag", current))
}
