//! Looks after stored grants: wraps data keys with the ring's first key, and finishes disconnections that Google, or
//! a crash, left open.

use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::Shutdown;
use chassis::time::pause;
use domain::ids::CompanyId;
use store::StoreError;
use store::calendar::{accounts, grants};
use uuid::Uuid;

use crate::sealed::Row;
use crate::server::Connector;

const EVERY: Duration = Duration::from_mins(15);
/// After a round that failed.
const SOON: Duration = Duration::from_mins(1);

/// Runs until the process drains.
pub(crate) async fn keep(connector: Arc<Connector>, shutdown: Shutdown) {
    let draining = shutdown.draining();
    loop {
        let wait = match tidy(&connector).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::info!(error = chassis::telemetry::chain(&error), "grants are looked after later");
                SOON
            }
        };
        tokio::select! {
            () = draining.cancelled() => return,
            () = pause(wait) => {}
        }
    }
}

/// One round over all companies.
///
/// # Errors
/// What the database said; a round may be repeated.
pub async fn tidy(connector: &Connector) -> Result<(), StoreError> {
    let mut tx = connector.store.dispatch().await?;
    let companies = store::companies::all(&mut tx).await?;
    tx.rollback().await?;
    for company in companies {
        let mut tx = connector.store.tenant(company).await?;
        let old = grants::wrapped_otherwise(&mut tx, company, connector.vault.ring().active_id()).await?;
        let open = accounts::unrevoked(&mut tx, company).await?;
        let abandoned = accounts::abandoned(&mut tx, company).await?;
        tx.rollback().await?;
        for account in old {
            rewrap(connector, company, account).await?;
        }
        for account in open.into_iter().chain(abandoned) {
            connector.revoke(company, account, "disconnected").await?;
        }
    }
    Ok(())
}

async fn rewrap(connector: &Connector, company: CompanyId, account: Uuid) -> Result<(), StoreError> {
    let mut tx = connector.store.tenant(company).await?;
    let Some(grant) = grants::read(&mut tx, company, account).await? else { return Ok(()) };
    let wrapped = match Row::new(company, account).rewrap(&connector.vault, &grant) {
        Ok(Some(wrapped)) => wrapped,
        Ok(None) => return Ok(()),
        Err(error) => {
            tracing::error!(%account, %error, "a data key cannot be wrapped anew");
            return Ok(());
        }
    };
    let old = grant.data_key.unwrap_or_default();
    let done = grants::rewrapped(&mut tx, company, account, &old, &wrapped.key_id, &wrapped.bytes).await?;
    tx.commit().await?;
    if done {
        metrics::counter!("google_keys_rewrapped_total").increment(1);
        tracing::info!(%account, key = wrapped.key_id, "data key wrapped anew");
    }
    Ok(())
}
