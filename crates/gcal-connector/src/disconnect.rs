//! Disconnecting: the calendar takes part no more from the first moment; its channels are stopped while the grant
//! still stands, then the grant is revoked. Google's silence delays none of it.

use std::time::Duration;

use chassis::time::deadline;
use contracts::gcal::v1::{DisconnectReply, DisconnectRequest};
use domain::ids::CompanyId;
use store::StoreError;
use store::calendar::{accounts, connections, grants, queue, webhooks};
use tonic::Status;
use uuid::Uuid;

use crate::convert::some;
use crate::fault::store_status;
use crate::outcome::{company, id};
use crate::sealed::Row;
use crate::server::Connector;

/// Longest wait for Google to confirm a revocation.
const REVOKE: Duration = Duration::from_secs(5);

impl Connector {
    pub(crate) async fn end(&self, request: DisconnectRequest) -> Result<DisconnectReply, Status> {
        let company = company(request.context.as_ref())?;
        let connection = id("connection_id", &request.connection_id)?;
        let reason = format!("disconnected by {}", some(&request.requested_by).unwrap_or("an operator"));
        let ended = async {
            let mut tx = self.store.tenant(company).await?;
            let Some(account) = connections::end(&mut tx, company, connection, "revoked", &reason).await?
            else {
                return Ok(None);
            };
            queue::park_connection(&mut tx, company, connection, &reason).await?;
            let channels = webhooks::living(&mut tx, company, connection).await?;
            let others = connections::others_of_account(&mut tx, company, account, connection).await?;
            tx.commit().await?;
            Ok(Some((account, channels, others)))
        };
        let ended = ended.await.map_err(|error: StoreError| store_status(&error))?;
        let Some((account, channels, others)) = ended else { return Ok(DisconnectReply::default()) };
        let client = self.clients.of(company, account, connection);
        let counts = self.stop_all(company, &client, channels, "stopped").await?;
        let last_calendar = others == 0;
        let mut reply = DisconnectReply {
            existed: true,
            channels_stopped: counts.stopped,
            channels_orphaned: counts.orphaned,
            last_calendar,
            revoked: false,
        };
        if last_calendar {
            reply.revoked = self.revoke(company, account, &reason).await.map_err(|e| store_status(&e))?;
        }
        tracing::info!(%company, %connection, revoked = reply.revoked, "calendar disconnected");
        Ok(reply)
    }

    /// Ends the grant. False when Google did not confirm it: the keeper tries again.
    pub(crate) async fn revoke(
        &self,
        company: CompanyId,
        account: Uuid,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.tenant(company).await?;
        let grant = grants::read(&mut tx, company, account).await?;
        accounts::revoke(&mut tx, company, account, reason).await?;
        tx.commit().await?;
        let Some(grant) = grant else { return Ok(true) };
        let row = Row::new(company, account);
        let opened = row.key(&self.vault, &grant).and_then(|key| {
            let (Some(key), Some(sealed)) = (key, &grant.refresh_token) else { return Ok(None) };
            row.open_refresh(&key, sealed).map(Some)
        });
        let confirmed = match opened {
            Ok(Some(token)) => match deadline("revoking a grant", REVOKE, self.oauth.revoke(&token)).await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::warn!(%account, %error, "Google did not confirm a revocation, tried again later");
                    false
                }
                Err(elapsed) => {
                    tracing::warn!(%account, error = %elapsed, "Google did not confirm a revocation, tried again later");
                    false
                }
            },
            Ok(None) => true,
            // Nobody can open it, so nobody can use it either.
            Err(error) => {
                tracing::error!(%account, %error, "a revoked account's token does not open; it is destroyed");
                true
            }
        };
        if confirmed {
            let mut tx = self.store.tenant(company).await?;
            grants::forget(&mut tx, company, account).await?;
            tx.commit().await?;
        }
        Ok(confirmed)
    }
}
