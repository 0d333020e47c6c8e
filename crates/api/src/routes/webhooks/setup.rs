//! `POST /api/webhooks/setup`, `GET /api/webhooks/verify`

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::calendar::webhooks;
use store::jobs::{NewJob, enqueue_many};
use store::{mailboxes, subscriptions, teams};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Admin;
use web::json::Json;

use crate::actor::Actor;
use crate::connector::ConnectorError;
use crate::error::Answer;
use crate::operation::{Call, Operation};
use crate::state::ApiState;

/// Nothing to choose.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {}

/// What is being made sure of.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettingUp {
    /// Resources of Microsoft: drives, mailboxes, channels, chats.
    microsoft: usize,
    /// Calendars of Google.
    calendars: usize,
    job_ids: Vec<Uuid>,
}

/// Longest renewal that counts as missing: every subscription is looked at.
const ALL_HOURS: i32 = 24 * 365;

/// Makes sure that everything that is synchronised has a push subscription that lasts
#[utoipa::path(post, path = "/api/webhooks/setup", tag = "providers", request_body(content = Option<Setup>), responses(
    (status = 202, description = "Jobs were queued", body = SettingUp),
))]
pub async fn setup(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    call: Call,
) -> Answer<Response> {
    let Setup {} = call.json()?;
    let reason = actor.reason(None)?;
    let mut operation = Operation::begin(&state, &claims, call).await?;
    let company = operation.company;
    let tx = operation.tx();
    let resources = subscriptions::to_renew(tx, company, ALL_HOURS).await?;
    let calendars = webhooks::to_renew(tx, company, 1).await?;
    let mut jobs = subscriptions::ensure_jobs(company, &resources, &claims.sub, 9)?;
    for connection in &calendars {
        jobs.push(watch_job(company, *connection, &claims.sub)?);
    }
    let queued = enqueue_many(tx, jobs).await?;
    let setting = SettingUp {
        microsoft: resources.len(),
        calendars: calendars.len(),
        job_ids: queued.into_iter().map(|job| job.id().uuid()).collect(),
    };
    let details = json!({ "microsoft": setting.microsoft, "calendars": setting.calendars });
    actor.record(tx, company, "webhooks.setup", "webhooks".to_owned(), reason, details).await?;
    operation.accepted(None, &setting).await
}

/// Whether the integration with Microsoft works, part by part.
#[derive(Debug, Serialize, ToSchema)]
pub struct Integration {
    /// Everything that could be tried works.
    healthy: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Check {
    /// `token`, `permissions`, `webhook`, `subscriptions` or `queue`
    part: &'static str,
    /// Permission, address, or resource.
    name: String,
    ok: bool,
    /// What is wrong and what to do, or what was found.
    detail: String,
}

impl Check {
    fn new(part: &'static str, name: impl Into<String>, ok: bool, detail: impl Into<String>) -> Self {
        Self { part, name: name.into(), ok, detail: detail.into() }
    }

    fn of(part: &'static str, error: &ConnectorError) -> Self {
        Self::new(part, part, false, error.to_string())
    }
}

/// Dead letters above which the queue is called unwell (alert "Failed jobs" of the runbook).
const MANY_DEAD: i64 = 100;
/// Waiting jobs above which the queue is called unwell (alert "Queue length").
const MANY_WAITING: i64 = 1_000;

/// Verifies the integration: token, permissions by probe, reachability of the webhooks, subscriptions, queue
#[utoipa::path(get, path = "/api/webhooks/verify", tag = "providers", responses(
    (status = 200, description = "What was found", body = Integration),
))]
pub async fn verify(State(state): State<ApiState>, Admin(claims): Admin) -> Answer<Json<Integration>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    let mailbox = mailboxes::list(&mut tx, company, None, 1).await?.pop().map(|m| m.user_id);
    let team = teams::channels(&mut tx, company, None, None, 1).await?.pop().map(|c| c.team_id);
    let missing = subscriptions::to_renew(&mut tx, company, 0).await?;
    let counts = store::jobs::counts(&mut tx).await?;
    drop(tx);
    let mut checks = Vec::new();
    match state.connector.refresh_token().await {
        Ok(_) => checks.push(Check::new("token", "microsoft", true, "a fresh token was issued")),
        Err(error) => checks.push(Check::of("token", &error)),
    }
    let (user, team) = (mailbox.unwrap_or_default(), team.unwrap_or_default());
    match state.connector.probe(company, &user, &team).await {
        Ok(probes) => checks.extend(probes.into_iter().map(|p| {
            let tried = p.untried.is_empty();
            let detail = match (tried, p.granted) {
                (false, _) => format!("not tried: {}", p.untried),
                (true, true) => "granted".to_owned(),
                (true, false) => format!("missing: {} needs it; grant it to the application", p.capability),
            };
            Check::new("permissions", p.permission, p.granted || !tried, detail)
        })),
        Err(error) => checks.push(Check::of("permissions", &error)),
    }
    match state.connector.test_urls().await {
        Ok(tests) => {
            checks.extend(tests.into_iter().map(|t| Check::new("webhook", t.url, t.passed, t.detail)));
        }
        Err(error) => checks.push(Check::of("webhook", &error)),
    }
    if missing.is_empty() {
        checks.push(Check::new(
            "subscriptions",
            "microsoft",
            true,
            "everything that is synchronised has one",
        ));
    }
    checks.extend(missing.into_iter().map(|(kind, id)| {
        let detail = "has no subscription that lasts; POST /api/webhooks/setup asks for one";
        Check::new("subscriptions", format!("{kind} {id}"), false, detail)
    }));
    let (pending, dead) =
        counts.by_kind.iter().fold((0, 0), |(pending, dead), c| (pending + c.pending, dead + c.dead));
    let detail = format!("{pending} waiting, {dead} dead");
    checks.push(Check::new("queue", "jobs", pending <= MANY_WAITING && dead <= MANY_DEAD, detail));
    Ok(Json(Integration { healthy: checks.iter().all(|check| check.ok), checks }))
}

/// A job that makes sure of a calendar's channel.
pub(super) fn watch_job(
    company: domain::ids::CompanyId,
    connection: Uuid,
    by: &str,
) -> store::Result<NewJob> {
    let key = format!("calendar.watch:{connection}");
    let watch = contracts::jobs::WatchCalendar { connection_id: connection };
    Ok(NewJob::new(company, &watch, by)?.dedupe(&*key).resource(&*key).priority(9))
}
