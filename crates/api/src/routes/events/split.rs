//! `POST /api/events/{series}/split`: "this and following" of a series.

use axum::extract::State;
use axum::response::Response;
use domain::calendar::event::{Original, Side};
use domain::calendar::series::{Following, occurrence, split};
use domain::ids::CompanyId;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Tx;
use store::calendar::app_events::{self, AppEvent, Content, Origin};
use store::calendar::rows;
use utoipa::ToSchema;
use uuid::Uuid;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::body::{self, EventBody};
use super::fields::EventFields;
use super::occurrence::{original, refused};
use super::{MailQuery, SendUpdates, check, locked, unknown};
use crate::actor::Actor;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Exceptions of one series that a split re-applies in its transaction.
const MAX_EXCEPTIONS: i64 = 1_000;

/// Where a series is split, and what is different from there on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitFields {
    /// The first occurrence of the second part, where the series puts it: a time with an offset, or a day.
    original_start: String,
    #[serde(flatten)]
    fields: EventFields,
}

/// Both parts of a series.
#[derive(Debug, Serialize, ToSchema)]
pub struct SplitBody {
    /// The series, which ends before the split.
    series: EventBody,
    /// The new series from there on.
    following: EventBody,
    /// Exceptions that went along with the second part.
    moved: Vec<Uuid>,
    /// Exceptions that the second part has no occurrence for.
    dropped: Vec<Uuid>,
}

/// Changes one occurrence of a series and all that follow: the series ends, a new one begins, later exceptions go along
#[utoipa::path(post, path = "/api/events/{series}/split", tag = "data",
    params(("series" = Uuid, Path), MailQuery, ("If-Match" = String, Header, description = "The series' ETag, or *")),
    request_body = SplitFields, responses(
        (status = 201, description = "Both parts; `Location` is the new one", body = SplitBody),
        (status = 404, description = "No such event of the caller", body = web::problem::ProblemBody),
        (status = 409, description = "`not_a_series`, or `too_many_exceptions`", body = web::problem::ProblemBody),
        (status = 412, description = "It was changed meanwhile", body = web::problem::ProblemBody),
        (status = 422, description = "A field cannot be used", body = web::problem::ProblemBody),
        (status = 428, description = "`If-Match` is missing", body = web::problem::ProblemBody),
    ))]
pub async fn create(
    State(state): State<ApiState>,
    actor: Actor,
    Path(series): Path<Uuid>,
    Query(mail): Query<MailQuery>,
    headers: HeaderMap,
    call: Call,
) -> Answer<Response> {
    let SplitFields { original_start, fields } = call.json()?;
    if fields.connection_id.is_some() {
        let message = "the second part stays in the calendar of its series";
        return Err(Problem::unprocessable(vec![FieldError::new("connection_id", message)]).into());
    }
    let send_updates = fields.send_updates.or(mail.send_updates).map(SendUpdates::as_str);
    let reason = actor.reason(None)?;
    let mut operation = Operation::begin(&state, &actor.claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    tx.on_behalf_of(&actor.claims.sub).await?;
    let series = locked(tx, company, series).await?;
    body::check(&headers, &series)?;
    if series.content.recurrence.as_ref().is_none_or(Vec::is_empty) {
        return Err(Problem::conflict("not_a_series", "the event does not recur; change it itself").into());
    }
    let at = original(&series, &original_start)?;
    let master = series.canonical()?;
    let parts =
        split(&master, at).map_err(|error| refused(&format!("{}: {error}", rows::original_text(at))))?;
    let exceptions = app_events::exceptions(tx, company, &series, MAX_EXCEPTIONS + 1).await?;
    if i64::try_from(exceptions.len()).is_ok_and(|count| count > MAX_EXCEPTIONS) {
        let detail = format!("the series has more than {MAX_EXCEPTIONS} exceptions");
        return Err(Problem::conflict("too_many_exceptions", detail).into());
    }

    let mut content = series.content.clone();
    content.take(&parts.following);
    fields.apply(&mut content);
    check::check(&content)?;
    if content.recurrence.is_none() && parts.following.recurs() {
        let message = "the second part recurs; to end it, shorten its rule";
        return Err(Problem::unprocessable(vec![FieldError::new("recurrence", message)]).into());
    }
    let origin = Origin { connection_id: series.connection_id, ..Origin::default() };
    let following = app_events::insert(tx, company, &content, &origin, send_updates).await?;
    let whole = Following::new(master, at, following.canonical()?);
    let carrier = Moves { series: &following, whole: &whole, at, send_updates };
    let (moved, dropped) = carrier.carry(tx, company, exceptions).await?;

    let mut trimmed = series.content.clone();
    trimmed.recurrence = Some(parts.trimmed.recurrence.into_iter().collect());
    let trimmed = app_events::update(tx, company, series.id, &trimmed, send_updates)
        .await?
        .ok_or_else(|| unknown(series.id))?;
    let details = json!({
        "following": following.id, "original_start": rows::original_text(at), "moved": moved.len(),
        "dropped": dropped.len(), "sendUpdates": send_updates,
    });
    actor.record(tx, company, "event.split", format!("event:{}", series.id), reason, details).await?;
    let location = format!("/api/events/{}", following.id);
    let answer = SplitBody { series: trimmed.into(), following: following.into(), moved, dropped };
    operation.answer(StatusCode::CREATED, Some(&location), &answer).await
}

/// Exceptions on their way from one series to the next.
struct Moves<'a> {
    series: &'a AppEvent,
    whole: &'a Following,
    at: Original,
    send_updates: Option<&'a str>,
}

impl Moves<'_> {
    /// Re-applies those that the second part has a place for; the first part loses all of them. Answers the new
    /// ones, and the old ones that went nowhere.
    async fn carry(
        &self,
        tx: &mut Tx,
        company: CompanyId,
        exceptions: Vec<AppEvent>,
    ) -> Answer<(Vec<Uuid>, Vec<Uuid>)> {
        let (mut moved, mut dropped) = (Vec::new(), Vec::new());
        for old in exceptions {
            let Some(original) = rows::original_of(old.original_start.as_deref())? else { continue };
            if original < self.at {
                continue;
            }
            match self.whole.place(original) {
                Some(place) => moved.push(self.reapply(tx, company, &old, original, place).await?),
                None => dropped.push(old.id),
            }
            app_events::delete(tx, company, old.id, self.send_updates).await?;
        }
        Ok((moved, dropped))
    }

    async fn reapply(
        &self,
        tx: &mut Tx,
        company: CompanyId,
        old: &AppEvent,
        original: Original,
        place: Original,
    ) -> Answer<Uuid> {
        let copied = occurrence(self.whole.series(), place);
        let side = match old.deleted_at {
            Some(_) => Side::Gone,
            None => Side::live(self.whole.event(original, place, &old.canonical()?)),
        };
        let mut content = Content::default();
        content.take(side.event().unwrap_or(&copied));
        let origin = Origin {
            connection_id: self.series.connection_id,
            series_event_id: Some(self.series.id),
            original_start: Some(rows::original_text(place)),
            copied: Some(serde_json::to_value(&copied).map_err(|error| Problem::internal(&error))?),
            cancelled: side == Side::Gone,
            ..Origin::default()
        };
        Ok(app_events::insert(tx, company, &content, &origin, self.send_updates).await?.id)
    }
}
