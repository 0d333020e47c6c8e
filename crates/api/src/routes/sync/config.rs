//! `GET`, `PUT /api/sync/config`

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::audit::changes;
use domain::ids::CompanyId;
use domain::schedule::CronExpr;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::settings::{self, Settings};
use store::{Tx, schedules};
use utoipa::ToSchema;
use web::auth::{Admin, Claims};
use web::json::Json;
use web::problem::{FieldError, Problem};

use super::switch::not_ready;
use super::{SCHEDULE, SCHEDULES, SOURCE};
use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

const POLICIES: [&str; 3] = ["newest_wins", "app_wins", "provider_wins"];

/// Settings of the synchronisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfigBody {
    /// Cron expression; null until the scheduler has seen the organization.
    schedule: Option<String>,
    /// IANA zone in which the expression is read.
    time_zone: Option<String>,
    /// The schedule runs.
    enabled: bool,
    enabled_sources: Vec<String>,
    /// `newest_wins`, `app_wins` or `provider_wins`.
    conflict_policy: String,
    excel_mapping: Value,
    mass_change: MassChangeBody,
    updated_by: Option<String>,
    updated_at: Option<DateTime<Utc>>,
}

/// Which runs wait for a person.
#[derive(Debug, Serialize, ToSchema)]
struct MassChangeBody {
    /// A run that would remove more than this share of the documents (0 to 1) ...
    share: f32,
    /// ... and at least this many.
    minimum: i32,
}

/// Settings of the synchronisation
#[utoipa::path(get, path = "/api/sync/config", tag = "sync", responses(
    (status = 200, description = "The settings", body = ConfigBody),
))]
pub async fn get(State(state): State<ApiState>, Admin(claims): Admin) -> Answer<Json<ConfigBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    Ok(Json(read(&mut tx, company).await?))
}

async fn read(tx: &mut Tx, company: CompanyId) -> Answer<ConfigBody> {
    let settings = settings::get(tx, company).await?;
    let schedule = schedules::find(tx, company, SCHEDULE).await?;
    Ok(ConfigBody {
        enabled: schedule.as_ref().is_some_and(|s| s.active),
        time_zone: schedule.as_ref().map(|s| s.time_zone.clone()),
        schedule: schedule.map(|s| s.schedule),
        enabled_sources: settings.enabled_sources,
        conflict_policy: settings.conflict_policy,
        excel_mapping: settings.excel_mapping,
        mass_change: MassChangeBody {
            share: settings.mass_change_share,
            minimum: settings.mass_change_minimum,
        },
        updated_by: settings.updated_by,
        updated_at: settings.updated_at,
    })
}

/// Settings to change; an absent field keeps what is stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutConfig {
    /// Cron expression of five or six fields.
    schedule: Option<String>,
    /// IANA zone.
    time_zone: Option<String>,
    /// Switch the schedule on or off.
    enabled: Option<bool>,
    /// Of: `onedrive`.
    enabled_sources: Option<Vec<String>>,
    /// `newest_wins`, `app_wins` or `provider_wins`.
    conflict_policy: Option<String>,
    #[schema(value_type = Option<Object>)]
    excel_mapping: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "web::json::object")]
    mass_change: Option<PutMassChange>,
}

/// Limits of the mass-change breaker.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutMassChange {
    /// Above 0, at most 1.
    share: Option<f32>,
    /// 0 or more.
    minimum: Option<i32>,
}

/// Changes settings; an absent field keeps what is stored
#[utoipa::path(put, path = "/api/sync/config", tag = "sync", request_body = PutConfig, responses(
    (status = 200, description = "The new settings", body = ConfigBody),
    (status = 422, description = "A field cannot be used", body = web::problem::ProblemBody),
))]
pub async fn put(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    Json(change): Json<PutConfig>,
) -> Answer<Json<ConfigBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let before = described(&read(&mut tx, company).await?);
    let mut settings = settings::get(&mut tx, company).await?;
    apply(&mut settings, &change)?;
    change_schedule(&mut tx, company, &claims, &change).await?;
    settings::put(&mut tx, company, &settings, &claims.sub).await?;
    let body = read(&mut tx, company).await?;
    let changed = changes(&before, &described(&body));
    let (what, reason) = (("sync.config", "sync".to_owned()), actor.reason(None)?);
    actor.record_change(&mut tx, company, what, reason, (json!({}), Some(changed))).await?;
    tx.commit().await?;
    Ok(Json(body))
}

/// What a person can change of it.
fn described(body: &ConfigBody) -> Value {
    json!({
        "schedule": body.schedule, "time_zone": body.time_zone, "enabled": body.enabled,
        "enabled_sources": body.enabled_sources, "conflict_policy": body.conflict_policy,
        "excel_mapping": body.excel_mapping, "mass_change": body.mass_change,
    })
}

fn apply(settings: &mut Settings, change: &PutConfig) -> Result<(), Problem> {
    let mut errors = Vec::new();
    if let Some(sources) = &change.enabled_sources {
        if sources.iter().any(|s| s != SOURCE) {
            errors.push(FieldError::new("enabled_sources", "knows `onedrive` alone"));
        }
        settings.enabled_sources.clone_from(sources);
        settings.enabled_sources.dedup();
    }
    if let Some(policy) = &change.conflict_policy {
        if !POLICIES.contains(&policy.as_str()) {
            errors.push(FieldError::new("conflict_policy", format!("is one of {}", POLICIES.join(", "))));
        }
        settings.conflict_policy.clone_from(policy);
    }
    if let Some(mapping) = &change.excel_mapping {
        settings.excel_mapping = Value::Object(mapping.clone());
    }
    if let Some(limits) = &change.mass_change {
        if let Some(share) = limits.share {
            if !(share > 0.0 && share <= 1.0) {
                errors.push(FieldError::new("mass_change.share", "is above 0 and at most 1"));
            }
            settings.mass_change_share = share;
        }
        if let Some(minimum) = limits.minimum {
            if minimum < 0 {
                errors.push(FieldError::new("mass_change.minimum", "is 0 or more"));
            }
            settings.mass_change_minimum = minimum;
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::unprocessable(errors)) }
}

async fn change_schedule(tx: &mut Tx, company: CompanyId, claims: &Claims, change: &PutConfig) -> Answer<()> {
    if change.schedule.is_none() && change.time_zone.is_none() && change.enabled.is_none() {
        return Ok(());
    }
    let stored = schedules::find(tx, company, SCHEDULE).await?.ok_or_else(not_ready)?;
    let expression = change.schedule.as_deref().unwrap_or(&stored.schedule).trim();
    let zone = change.time_zone.as_deref().unwrap_or(&stored.time_zone);
    if expression != stored.schedule || zone != stored.time_zone {
        CronExpr::parse(expression, zone).map_err(|fault| {
            let field = if change.schedule.is_some() { "schedule" } else { "time_zone" };
            Problem::unprocessable(vec![FieldError::new(field, fault.to_string())])
        })?;
        schedules::set_schedule(tx, company, SCHEDULE, (expression, zone), &claims.sub).await?;
    }
    if let Some(active) = change.enabled {
        for name in SCHEDULES {
            schedules::set_active(tx, company, name, active, &claims.sub).await?;
        }
    }
    Ok(())
}
