//! `POST /api/events/{series}/occurrences`: "this event" of a series.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate};
use domain::calendar::event::Original;
use domain::calendar::series::{misses, occurrence};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use store::calendar::app_events::{self, AppEvent, Content, Origin};
use store::calendar::rows;
use utoipa::ToSchema;
use uuid::Uuid;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::body::EventBody;
use super::fields::EventFields;
use super::{MailQuery, SendUpdates, check, locked};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// One occurrence of a series: what is different about it, or that it does not take place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OccurrenceFields {
    /// Where the series puts it: a time with an offset, or a day.
    original_start: String,
    /// It does not take place (false).
    #[serde(default)]
    cancelled: bool,
    #[serde(flatten)]
    fields: EventFields,
}

/// Makes an exception of one occurrence of a series; what is absent is as in the series
#[utoipa::path(post, path = "/api/events/{series}/occurrences", tag = "data",
    params(("series" = Uuid, Path), MailQuery), request_body = OccurrenceFields, responses(
        (status = 201, description = "The exception", body = EventBody),
        (status = 404, description = "No such event of the caller", body = web::problem::ProblemBody),
        (status = 409, description = "`not_a_series`, or `occurrence_exists` with its `event_id`: change that one",
            body = web::problem::ProblemBody),
        (status = 422, description = "A field cannot be used", body = web::problem::ProblemBody),
    ))]
pub async fn create(
    State(state): State<ApiState>,
    actor: Actor,
    Path(series): Path<Uuid>,
    Query(mail): Query<MailQuery>,
    call: Call,
) -> Answer<Response> {
    let OccurrenceFields { original_start, cancelled, fields } = call.json()?;
    if fields.connection_id.is_some() {
        let message = "an occurrence stays in the calendar of its series";
        return Err(Problem::unprocessable(vec![FieldError::new("connection_id", message)]).into());
    }
    let send_updates = fields.send_updates.or(mail.send_updates).map(SendUpdates::as_str);
    let reason = actor.reason(None)?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    tx.on_behalf_of(&actor.claims.sub).await?;
    // The lock of the series keeps two requests from making two exceptions of one occurrence.
    let series = locked(tx, company, series).await?;
    if series.content.recurrence.as_ref().is_none_or(Vec::is_empty) {
        return Err(Problem::conflict("not_a_series", "the event does not recur; change it itself").into());
    }
    let original = original(&series, &original_start)?;
    let text = rows::original_text(original);
    if let Some(event) = app_events::exception(tx, company, &series, &text).await? {
        let detail = "the occurrence is an exception already; change that event";
        return Err(Problem::conflict("occurrence_exists", detail).with("event_id", event).into());
    }
    let master = series.canonical()?;
    if misses(&master, original) {
        return Err(refused(&format!("{text} is no occurrence of the series")).into());
    }
    let copied = occurrence(&master, original);
    let mut content = Content { recurrence: None, ..series.content.clone() };
    content.take(&copied);
    fields.apply(&mut content);
    check::check(&content)?;
    if content.recurrence.is_some() {
        let message = "one occurrence of a series does not recur; change the series";
        return Err(Problem::unprocessable(vec![FieldError::new("recurrence", message)]).into());
    }
    let origin = Origin {
        connection_id: series.connection_id,
        google_calendar_id: series.google_calendar_id.clone(),
        series_event_id: Some(series.id),
        recurring_event_id: series.google_event_id.clone(),
        original_start: Some(text.clone()),
        copied: Some(serde_json::to_value(&copied).map_err(|error| Problem::internal(&error))?),
        cancelled,
    };
    let event = app_events::insert(tx, company, &content, &origin, send_updates).await?;
    let details = json!({ "series": series.id, "original_start": text, "cancelled": cancelled });
    actor.record(tx, company, "event.except", format!("event:{}", event.id), reason, details).await?;
    let location = format!("/api/events/{}", event.id);
    operation.answer(StatusCode::CREATED, Some(&location), &EventBody::from(event)).await
}

/// The original start as the series counts, or what is wrong with it.
pub fn original(series: &AppEvent, text: &str) -> Result<Original, Problem> {
    let refuse = |message: &str| refused(&format!("{text:?} {message}"));
    let content = &series.content;
    if let Some(first) = content.start_date {
        let day: NaiveDate =
            text.parse().map_err(|_| refuse("must be a day, as in 2026-12-31: the series has whole days"))?;
        return if day < first { Err(refuse("lies before the series")) } else { Ok(Original::On(day)) };
    }
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|_| refuse("must be a time with an offset, as in 2026-12-31T09:00:00Z"))?
        .to_utc();
    if content.start_at.is_some_and(|first| at < first) {
        return Err(refuse("lies before the series"));
    }
    Ok(Original::At(at))
}

/// What is wrong with an original start.
pub fn refused(message: &str) -> Problem {
    Problem::unprocessable(vec![FieldError::new("original_start", message.to_owned())])
}
