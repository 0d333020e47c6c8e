//! Forgetting somebody: the key behind their markers is destroyed, and with it everything that it sealed, online and in
//! every archive. The trail is as it was.

use audit_trail::{Trail, TrailError, people};
use job_runtime::JobError;
use serde_json::{Value, json};
use store::audit::{erasures, policies, runs, subjects};
use uuid::Uuid;

use crate::retention::{act, failure, job_error};
use crate::seal::seal_chain;
use crate::steps::Steps;

/// Does what a row of `audit_erasures` asks for; `{erased, basis}`.
///
/// # Errors
/// [`JobError`]: final under a legal hold, which refuses it.
pub async fn erase(trail: &Trail, steps: &Steps, id: Uuid) -> Result<Value, JobError> {
    let company = steps.company();
    let keys = trail.subjects.as_ref().ok_or_else(|| job_error(&TrailError::NoSubjectKey))?;
    // What was written before names people in the clear until it is sealed.
    if let Err(error) = seal_chain(trail, Some(company)).await {
        return Err(failure(trail, steps, &error, "erasure.failed", None).await);
    }
    let mut tx = steps.begin().await?;
    let Some(asked) = erasures::open(&mut tx, company, id).await? else {
        tx.rollback().await?;
        return Ok(json!({ "erased": 0, "already": true }));
    };
    let resource = format!("erasure:{id}");
    let held = policies::list(&mut tx, company).await?.into_iter().find(|policy| policy.legal_hold);
    if let Some(policy) = held {
        let why = format!("the class {} is under legal hold", policy.class);
        let details = json!({ "basis": asked.basis, "class": policy.class });
        erasures::end(&mut tx, company, id, None).await?;
        note(&mut tx, steps, "erasure.refused", &details).await?;
        act(&mut tx, steps, "erasure.refuse", resource, Some(why.clone()), details).await?;
        steps.commit(tx).await?;
        return Err(JobError::fail("legal_hold", why));
    }
    let rows = subjects::find(&mut tx, Some(company), &asked.lookups).await?;
    let names = people::names(keys, company, &rows).map_err(|error| job_error(&error))?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let erased = subjects::destroy(&mut tx, company, &ids, id).await?;
    erasures::unname(&mut tx, company, &names).await?;
    erasures::end(&mut tx, company, id, Some(i32::try_from(erased).unwrap_or(i32::MAX))).await?;
    let details = json!({ "basis": asked.basis, "erased": erased, "subjects": ids });
    note(&mut tx, steps, "erasure.done", &details).await?;
    act(&mut tx, steps, "erasure.done", resource, None, details.clone()).await?;
    steps.commit(tx).await?;
    metrics::counter!("audit_subjects_erased_total").increment(erased);
    Ok(details)
}

async fn note(tx: &mut store::Tx, steps: &Steps, event: &str, detail: &Value) -> store::Result<()> {
    runs::note(tx, steps.company(), (Some(steps.run()), None), event, detail, steps.trace_id().as_deref())
        .await
}
