//! `GET /api/flags`, `PUT /api/flags/{name}`: operators' switches.

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::audit::changes;
use domain::flags::{Away, Flag, check};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::flags::{self, Stored};
use store::schedules::database_time;
use utoipa::ToSchema;
use web::auth::Admin;
use web::json::Json;
use web::path::Path;
use web::problem::{FieldError, Problem};

use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

/// A switch as it stands for the organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlagBody {
    /// Such as `outward_writes`.
    name: &'static str,
    enabled: bool,
    /// Its position in ordinary operation.
    normal: bool,
    /// It is away from its normal position.
    active: bool,
    /// What happens while it is away.
    effect: &'static str,
    /// Why it is away.
    reason: Option<String>,
    /// Back by itself then; null: until somebody ends it.
    until: Option<DateTime<Utc>>,
    changed_by: Option<String>,
    changed_at: Option<DateTime<Utc>>,
}

impl FlagBody {
    fn of(flag: Flag, stored: Option<&Stored>) -> Self {
        let active = stored.is_some();
        Self {
            name: flag.as_str(),
            enabled: flag.normal() != active,
            normal: flag.normal(),
            active,
            effect: flag.effect(),
            reason: stored.map(|s| s.reason.clone()),
            until: stored.and_then(|s| s.until),
            changed_by: stored.map(|s| s.changed_by.clone()),
            changed_at: stored.map(|s| s.changed_at),
        }
    }
}

/// Every switch.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlagList {
    items: Vec<FlagBody>,
    /// Always null: there is one page.
    next_cursor: Option<String>,
}

/// Operators' switches of the organization, all of them
#[utoipa::path(get, path = "/api/flags", tag = "flags", responses(
    (status = 200, description = "Every switch", body = FlagList),
))]
pub async fn list(State(state): State<ApiState>, Admin(claims): Admin) -> Answer<Json<FlagList>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let stored = flags::list(&mut tx, company).await?;
    let items = Flag::ALL.into_iter().map(|flag| FlagBody::of(flag, find(&stored, flag))).collect();
    Ok(Json(FlagList { items, next_cursor: None }))
}

fn find(stored: &[Stored], flag: Flag) -> Option<&Stored> {
    stored.iter().find(|one| one.name == flag.as_str())
}

/// Where to put a switch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutFlag {
    enabled: bool,
    /// Why, for the audit record and for those who look later; not empty.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// Back to normal by itself then; at most 366 days ahead. Absent: until somebody ends it.
    until: Option<DateTime<Utc>>,
}

/// A switch after a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PutFlagBody {
    #[serde(flatten)]
    flag: FlagBody,
    /// Jobs that it had held and that are queued again.
    released: u64,
}

/// Throws a switch of the organization; obeyed everywhere within seconds
#[utoipa::path(put, path = "/api/flags/{name}", tag = "flags",
    params(("name" = String, Path, description = "Such as `outward_writes`")), request_body = PutFlag, responses(
    (status = 200, description = "The switch as it stands now", body = PutFlagBody),
    (status = 404, description = "No such switch", body = web::problem::ProblemBody),
    (status = 422, description = "A field cannot be used", body = web::problem::ProblemBody),
))]
pub async fn put(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    Path(name): Path<String>,
    Json(change): Json<PutFlag>,
) -> Answer<Json<PutFlagBody>> {
    let flag: Flag =
        name.parse().map_err(|_| Problem::not_found("there is no such switch; see GET /api/flags"))?;
    let unusable =
        |field: &str, message: String| Problem::unprocessable(vec![FieldError::new(field, message)]);
    let Some(reason) = actor.reason(Some(&change.reason))? else {
        return Err(unusable("reason", "is required: say why".to_owned()).into());
    };
    let (mut tx, company) = state.tenant(&claims).await?;
    let now = database_time(&mut tx).await?;
    check(flag, change.enabled, change.until, now).map_err(|fault| unusable("until", fault.to_string()))?;
    let before = flags::list(&mut tx, company).await?;
    let before = described(&FlagBody::of(flag, find(&before, flag)));
    if change.enabled == flag.normal() {
        flags::put_back(&mut tx, company, flag).await?;
    } else {
        let away = Away { reason: reason.clone(), until: change.until };
        flags::put_away(&mut tx, company, flag, &away, &claims.sub).await?;
    }
    let standing = flags::standing(&mut tx).await?;
    let released = flags::release_unheld(&mut tx, &standing, now).await?;
    let stored = flags::list(&mut tx, company).await?;
    let body = FlagBody::of(flag, find(&stored, flag));
    let changed = changes(&before, &described(&body));
    let what = ("flag.set", format!("flag:{flag}"));
    let details = json!({ "enabled": change.enabled, "until": change.until, "released": released });
    actor.record_change(&mut tx, company, what, Some(reason), (details, Some(changed))).await?;
    tx.commit().await?;
    tracing::warn!(user = %claims.sub, %flag, enabled = change.enabled, "an operator threw a switch");
    Ok(Json(PutFlagBody { flag: body, released }))
}

/// What a person can change of it.
fn described(body: &FlagBody) -> serde_json::Value {
    json!({ "enabled": body.enabled, "reason": body.reason, "until": body.until })
}
