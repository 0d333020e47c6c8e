//! `PUT /api/schedules/{name}`

use axum::extract::State;
use domain::schedule::{CronExpr, Missed, ScheduleFault};
use serde::Deserialize;
use serde_json::json;
use store::schedules::{self, Change, Schedule};
use utoipa::ToSchema;
use web::auth::Admin;
use web::json::Json;
use web::path::Path;
use web::problem::{FieldError, Problem};

use super::body::{ScheduleBody, Upcoming};
use super::switch::reason;
use super::{read, unknown};
use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

/// Longest jitter: a day.
const MAX_JITTER: i32 = 86_400;

/// What to change; an absent field keeps what is stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSchedule {
    /// Cron expression of five fields, or six with seconds first.
    schedule: Option<String>,
    /// IANA zone.
    time_zone: Option<String>,
    /// `run_once` or `skip`.
    missed_policy: Option<String>,
    /// A run starts up to this many seconds after its time, 0 to 86400.
    #[schema(minimum = 0, maximum = 86400)]
    jitter_seconds: Option<i32>,
    /// Why, for those who look later.
    reason: Option<String>,
}

/// Changes a schedule; the answer says when it runs next
#[utoipa::path(put, path = "/api/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    request_body = PutSchedule, responses(
    (status = 200, description = "The schedule; `next_runs` also when it is paused", body = ScheduleBody),
    (status = 404, description = "No such schedule", body = web::problem::ProblemBody),
    (status = 422, description = "A field cannot be used", body = web::problem::ProblemBody),
))]
pub async fn put(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    Path(name): Path<String>,
    Json(asked): Json<PutSchedule>,
) -> Answer<Json<ScheduleBody>> {
    let given = actor.reason(asked.reason.as_deref())?;
    let reason = reason(given.as_deref())?.map(str::to_owned);
    let (mut tx, company) = state.tenant(&claims).await?;
    let stored = schedules::find(&mut tx, company, &name).await?.ok_or_else(|| unknown(&name))?;
    let change = check(&stored, &asked)?;
    if !schedules::update(&mut tx, company, &name, &change, (&claims.sub, reason.as_deref())).await? {
        return Err(unknown(&name).into());
    }
    let details = json!({
        "schedule": change.schedule, "time_zone": change.time_zone, "jitter_seconds": change.jitter_seconds,
        "missed_policy": asked.missed_policy,
    });
    actor
        .record(&mut tx, company, "schedule.change", format!("schedule:{name}"), reason.clone(), details)
        .await?;
    let body = read(&mut tx, company, &name, state.now(), Upcoming::Always).await?;
    tx.commit().await?;
    tracing::info!(user = %claims.sub, schedule = name, reason, "schedule changed");
    Ok(Json(body))
}

/// What differs from the stored schedule, every field checked.
fn check(stored: &Schedule, asked: &PutSchedule) -> Result<Change, Problem> {
    let mut errors = Vec::new();
    let zone = asked.time_zone.as_deref().map_or(stored.time_zone.as_str(), str::trim);
    let expression = match CronExpr::parse(asked.schedule.as_deref().unwrap_or(&stored.schedule), zone) {
        Ok(expression) => Some(expression),
        Err(fault) => {
            let field =
                if matches!(fault, ScheduleFault::UnknownTimeZone { .. }) { "time_zone" } else { "schedule" };
            errors.push(FieldError::new(field, chassis::telemetry::chain(&fault)));
            None
        }
    };
    let missed_policy = asked.missed_policy.as_deref().map(str::parse::<Missed>).transpose();
    if let Err(fault) = &missed_policy {
        errors.push(FieldError::new("missed_policy", fault.to_string()));
    }
    if asked.jitter_seconds.is_some_and(|seconds| !(0..=MAX_JITTER).contains(&seconds)) {
        errors.push(FieldError::new("jitter_seconds", format!("is a number from 0 to {MAX_JITTER}")));
    }
    match (expression, missed_policy) {
        (Some(expression), Ok(missed_policy)) if errors.is_empty() => {
            let differs = |new: &str, old: &str| (new != old).then(|| new.to_owned());
            Ok(Change {
                schedule: differs(expression.as_str(), &stored.schedule),
                time_zone: differs(zone, &stored.time_zone),
                missed_policy,
                jitter_seconds: asked.jitter_seconds,
            })
        }
        _ => Err(Problem::unprocessable(errors)),
    }
}
