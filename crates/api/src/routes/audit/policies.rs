//! `GET`, `PUT …/policies`

use axum::extract::State;
use domain::audit::changes;
use domain::audit::retention::{MAX_DAYS, Policy};
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::audit::plan::preview;
use store::audit::policies;
use store::retention_rules::{self, What};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::json::Json;
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

/// Most policies of an organization.
const MOST: usize = 200;

/// How long the records of a class stay.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyBody {
    /// First word of the action, such as `schedule`; `*` for every class without a policy.
    class: String,
    /// Age in days after which a record is archived.
    archive_after_days: i32,
    /// Age in days after which an archived record leaves the database; absent: never.
    purge_after_days: Option<i32>,
    /// Nothing of the class is purged, whatever its age.
    #[serde(default)]
    legal_hold: bool,
}

/// How long something else stays once it is over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleBody {
    /// `deleted` (documents, messages), `sync_history`, `quarantine` (resolved), `notifications` or `ended_channels`.
    what: String,
    /// Days, 1 to 36500.
    days: i32,
}

/// Every policy of the organization.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoliciesRequest {
    policies: Vec<PolicyBody>,
    /// How long the rest stays; absent: as it is. What is not named stays as long as the nightly jobs say.
    others: Option<Vec<RuleBody>>,
    /// Why, for those who look later.
    reason: Option<String>,
}

/// Every policy of the organization, and what retention would do with them now.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoliciesBody {
    policies: Vec<PolicyBody>,
    others: Vec<RuleBody>,
    /// `{archive, purge[], purge_paused}`
    #[schema(value_type = Object)]
    plan: Value,
    /// Nothing was changed.
    dry_run: bool,
}

/// Whether to change anything.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PutQuery {
    /// Change nothing; the answer says what would happen.
    #[serde(default)]
    dry_run: bool,
}

/// How long audit records stay, by class
#[utoipa::path(get, path = "/api/v1/audit/organizations/{org}/policies", tag = "audit",
    params(("org" = Uuid, Path)), responses(
    (status = 200, description = "The policies", body = PoliciesBody),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
))]
pub async fn get(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
) -> Answer<Json<PoliciesBody>> {
    actor.administers(CompanyId(org))?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let found = policies::list(&mut tx, company).await?;
    let plan = json!(preview(&mut tx, company, &found, state.now()).await?);
    let others = rules(&mut tx, company).await?;
    Ok(Json(PoliciesBody {
        others,
        policies: found.into_iter().map(PolicyBody::from).collect(),
        plan,
        dry_run: false,
    }))
}

/// Replaces how long audit records stay; `dry_run=true` says what would happen and changes nothing
#[utoipa::path(put, path = "/api/v1/audit/organizations/{org}/policies", tag = "audit",
    params(("org" = Uuid, Path), PutQuery), request_body = PoliciesRequest, responses(
    (status = 200, description = "The policies", body = PoliciesBody),
    (status = 404, description = "No such organization", body = web::problem::ProblemBody),
    (status = 422, description = "A policy cannot be used", body = web::problem::ProblemBody),
))]
pub async fn put(
    State(state): State<ApiState>,
    actor: Actor,
    Path(org): Path<Uuid>,
    Query(query): Query<PutQuery>,
    Json(request): Json<PoliciesRequest>,
) -> Answer<Json<PoliciesBody>> {
    actor.administers(CompanyId(org))?;
    let wanted: Vec<Policy> = request.policies.iter().cloned().map(Policy::from).collect();
    check(&wanted)?;
    let chosen = request.others.as_deref().map(check_others).transpose()?;
    let why = actor.reason(request.reason.as_deref())?;
    let (mut tx, company) = state.tenant(&actor.claims).await?;
    let plan = json!(preview(&mut tx, company, &wanted, state.now()).await?);
    let kept = rules(&mut tx, company).await?;
    if !query.dry_run {
        let before = policies::list(&mut tx, company).await?;
        policies::replace(&mut tx, company, &wanted, &actor.claims.sub).await?;
        let mut changed = changes(&by_class(&before), &by_class(&wanted));
        if let Some(chosen) = &chosen {
            retention_rules::replace(&mut tx, company, chosen, &actor.claims.sub).await?;
            changed["others"] = json!({ "before": kept, "after": request.others });
        }
        let what = ("retention.policies", format!("organization:{company}"));
        actor.record_change(&mut tx, company, what, why, (json!({}), Some(changed))).await?;
        tx.commit().await?;
        tracing::info!(user = %actor.claims.sub, "retention policies replaced");
    }
    let others = request.others.unwrap_or(kept);
    Ok(Json(PoliciesBody { policies: request.policies, others, plan, dry_run: query.dry_run }))
}

async fn rules(tx: &mut store::Tx, company: CompanyId) -> store::Result<Vec<RuleBody>> {
    let found = retention_rules::list(tx, company).await?;
    Ok(found.into_iter().map(|(what, days)| RuleBody { what, days }).collect())
}

fn check_others(wanted: &[RuleBody]) -> Result<Vec<(What, i32)>, Problem> {
    let (mut errors, mut rules) = (Vec::new(), Vec::new());
    for (index, rule) in wanted.iter().enumerate() {
        let twice = wanted[..index].iter().any(|other| other.what == rule.what);
        match What::named(&rule.what) {
            Some(what) if !twice && (1..=MAX_DAYS).contains(&rule.days) => rules.push((what, rule.days)),
            Some(_) => {
                let message = format!("stands once, with 1 to {MAX_DAYS} days");
                errors.push(FieldError::new(format!("others[{index}]"), message));
            }
            None => {
                let known = What::ALL.map(What::as_str).join(", ");
                errors.push(FieldError::new(format!("others[{index}].what"), format!("is one of {known}")));
            }
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(Problem::unprocessable(errors)) }
}

fn check(wanted: &[Policy]) -> Result<(), Problem> {
    let mut errors = Vec::new();
    if wanted.len() > MOST {
        errors.push(FieldError::new("policies", format!("are at most {MOST}")));
    }
    for (index, policy) in wanted.iter().enumerate() {
        if let Some(fault) = policy.fault() {
            errors.push(FieldError::new(format!("policies[{index}]"), fault));
        }
        if wanted[..index].iter().any(|other| other.class == policy.class) {
            errors.push(FieldError::new(format!("policies[{index}].class"), "stands twice"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::unprocessable(errors)) }
}

fn by_class(all: &[Policy]) -> Value {
    all.iter().map(|policy| (policy.class.clone(), json!(policy))).collect::<serde_json::Map<_, _>>().into()
}

impl From<Policy> for PolicyBody {
    fn from(policy: Policy) -> Self {
        let Policy { class, archive_after_days, purge_after_days, legal_hold } = policy;
        Self { class, archive_after_days, purge_after_days, legal_hold }
    }
}

impl From<PolicyBody> for Policy {
    fn from(body: PolicyBody) -> Self {
        let PolicyBody { class, archive_after_days, purge_after_days, legal_hold } = body;
        Self { class, archive_after_days, purge_after_days, legal_hold }
    }
}
