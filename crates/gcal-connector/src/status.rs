//! What operators need to know.

use contracts::gcal::v1::{GetStatusReply, GetStatusRequest};
use domain::time::after;
use store::calendar::accounts;
use tonic::Status;

use crate::fault::store_status;
use crate::outcome::company;
use crate::server::Connector;

impl Connector {
    pub(crate) async fn report(&self, request: GetStatusRequest) -> Result<GetStatusReply, Status> {
        let missing = self.oauth.missing();
        let breaker = self.clients.breaker.status();
        let window = self.clients.project.window().await;
        let cache = self.cache.status().await;
        let (active_accounts, reauth_accounts) = match &request.context {
            Some(context) if !context.company_id.is_empty() => {
                let company = company(Some(context))?;
                let counts = async {
                    let mut tx = self.store.tenant(company).await?;
                    accounts::counts(&mut tx, company).await
                };
                counts.await.map_err(|error| store_status(&error))?
            }
            _ => (0, 0),
        };
        Ok(GetStatusReply {
            configured: missing.is_empty(),
            missing,
            breaker_state: i32::from(breaker.code),
            breaker_retry_at_us: breaker.retry_at.map(|at| at.timestamp_micros()),
            throttled_until_us: window.map(|wait| after(self.clock.now(), wait).timestamp_micros()),
            active_key: self.vault.ring().active_id().to_owned(),
            development_key: self.vault.ring().is_development(),
            cache_provider: cache.provider.to_owned(),
            cache_connected: cache.connected,
            active_accounts,
            reauth_accounts,
        })
    }
}
