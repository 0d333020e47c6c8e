//! `GET /api/queue/dead-letter`, `/groups`, `/{jobId}`

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::ids::JobId;
use domain::redact::redact;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::dead_letters::{self, BrokerLetter, DeadFilter, DeadLetter};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::auth::Operator;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use super::body::DeadLetterBody;
use super::not_dead;
use crate::error::Answer;
use crate::state::ApiState;

/// Bytes of a message's body in a list, and when it is read by itself.
const PREVIEW: i32 = 512;
const WHOLE: i32 = 64 * 1024;

/// Which dead letters to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadLetterQuery {
    /// Only this kind.
    kind: Option<String>,
    /// Only what failed for the last time since then (RFC 3339).
    since: Option<DateTime<Utc>>,
    /// Only this error: a fingerprint, a code, or a part of the message in any case.
    error: Option<String>,
    /// `ledger` (dead jobs) or `broker` (messages that no worker could claim); both when left out.
    source: Option<String>,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

enum Letter {
    Job(Box<DeadLetter>),
    Message(Box<BrokerLetter>),
}

impl Letter {
    fn key(&self) -> (DateTime<Utc>, Uuid) {
        match self {
            Letter::Job(letter) => letter.key(),
            Letter::Message(letter) => (letter.archived_at, letter.id),
        }
    }
}

/// Dead letters, the newest failure first
///
/// Messages that belong to no organization, since nobody could read them, are not here: no token speaks for them.
/// `syncctl queue unassigned` shows them to who holds the database's URL.
#[utoipa::path(get, path = "/api/queue/dead-letter", tag = "queue", params(DeadLetterQuery), responses(
    (status = 200, description = "A page of dead letters", body = Page<DeadLetterBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Query(query): Query<DeadLetterQuery>,
) -> Answer<Json<Page<DeadLetterBody>>> {
    let (jobs, messages) = match query.source.as_deref() {
        None => (true, true),
        Some("ledger") => (true, false),
        Some("broker") => (false, true),
        Some(_) => {
            let fault = FieldError::new("source", "is `ledger` or `broker`");
            return Err(Problem::unprocessable(vec![fault]).into());
        }
    };
    let page = crate::routes::page(query.limit, query.cursor)?;
    let filter = DeadFilter { kind: query.kind, since: query.since, error: query.error };
    let (mut tx, company) = state.tenant(&claims).await?;
    let mut letters = Vec::new();
    if jobs {
        let rows = dead_letters::list(&mut tx, company, &filter, page.after()?, page.fetch()).await?;
        letters.extend(rows.into_iter().map(|row| Letter::Job(Box::new(row))));
    }
    if messages {
        let rows = dead_letters::list_broker(&mut tx, company, &filter, page.after()?, page.fetch(), PREVIEW)
            .await?;
        letters.extend(rows.into_iter().map(|row| Letter::Message(Box::new(row))));
    }
    // Each source gave a page; the newest of both are one.
    letters.sort_by_key(|letter| std::cmp::Reverse(letter.key()));
    let page = Page::cut(&page, letters, Letter::key);
    Ok(Json(page.map(|letter| match letter {
        Letter::Job(letter) => DeadLetterBody::of_job(*letter, Vec::new()),
        Letter::Message(letter) => DeadLetterBody::of_message(*letter),
    })))
}

/// Dead jobs of one cause.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterGroup {
    /// Give it as `error` to list or retry the group; `null` for jobs without one.
    fingerprint: Option<String>,
    count: i64,
    kinds: Vec<String>,
    /// First failure of the first of them.
    first_seen: Option<DateTime<Utc>>,
    /// Last failure of the last of them.
    last_seen: Option<DateTime<Utc>>,
    /// The newest error: `code`, `message`, `chain`.
    example: Option<Value>,
}

/// Groups of dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterGroups {
    /// The largest first, at most 200.
    items: Vec<DeadLetterGroup>,
}

/// Which dead letters to group.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GroupQuery {
    /// Only this kind.
    kind: Option<String>,
    /// Only what failed for the last time since then (RFC 3339).
    since: Option<DateTime<Utc>>,
    /// Only this error: a fingerprint, a code, or a part of the message in any case.
    error: Option<String>,
}

/// Dead jobs by cause: how many causes there are behind ten thousand failures
#[utoipa::path(get, path = "/api/queue/dead-letter/groups", tag = "queue", params(GroupQuery), responses(
    (status = 200, description = "Groups by error fingerprint", body = DeadLetterGroups),
))]
pub async fn groups(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Query(query): Query<GroupQuery>,
) -> Answer<Json<DeadLetterGroups>> {
    let filter = DeadFilter { kind: query.kind, since: query.since, error: query.error };
    let (mut tx, company) = state.tenant(&claims).await?;
    let groups = dead_letters::groups(&mut tx, company, &filter).await?;
    let items = groups
        .into_iter()
        .map(|group| DeadLetterGroup {
            fingerprint: group.fingerprint,
            count: group.count,
            kinds: group.kinds,
            first_seen: group.first_seen,
            last_seen: group.last_seen,
            example: group.example.as_ref().map(redact),
        })
        .collect();
    Ok(Json(DeadLetterGroups { items }))
}

/// One dead letter: payload without secrets, every attempt with its error chain, edits, trace
#[utoipa::path(get, path = "/api/queue/dead-letter/{jobId}", tag = "queue", params(("jobId" = Uuid, Path)),
    responses(
        (status = 200, description = "The dead letter", body = DeadLetterBody),
        (status = 404, description = "No such job or message", body = web::problem::ProblemBody),
        (status = 409, description = "The job is no dead letter", body = web::problem::ProblemBody),
    ))]
pub async fn get(
    State(state): State<ApiState>,
    Operator(claims): Operator,
    Path(id): Path<Uuid>,
) -> Answer<Json<DeadLetterBody>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    if let Some(letter) = dead_letters::find(&mut tx, company, JobId(id)).await? {
        let edits = dead_letters::edits(&mut tx, company, JobId(id)).await?;
        return Ok(Json(DeadLetterBody::of_job(letter, edits)));
    }
    match dead_letters::find_broker(&mut tx, company, id, WHOLE).await? {
        Some(message) => Ok(Json(DeadLetterBody::of_message(message))),
        None => Err(not_dead(&mut tx, company, id).await),
    }
}
