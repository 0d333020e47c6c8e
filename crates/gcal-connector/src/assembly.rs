//! Puts the connector's parts together.

use std::sync::{Arc, Mutex};

use cache::Cache;
use chassis::service::BoxError;
use domain::time::SharedClock;
use gcal_client::GoogleOAuth;
use outbound::http::HttpClient;
use outbound::provider::ServiceBreaker;
use outbound::throttle::LayeredFence;
use outbound::vault::Vault;
use store::Store;

use crate::clients::{Budgets, Clients, Kept};
use crate::config::GcalConfig;
use crate::server::Connector;
use crate::tokens::Mint;

/// Name of the guarded service in `circuit_breaker_state` and in log lines.
const SERVICE: &str = "GoogleCalendar";

impl Connector {
    /// Builds the connector; connects to nothing yet. Takes the key ring out of the configuration.
    ///
    /// # Errors
    /// When TLS cannot be set up, or `DATABASE_URL` or `REDIS_URL` is not usable.
    pub fn assemble(config: GcalConfig, clock: SharedClock) -> Result<Self, BoxError> {
        let cache = Arc::new(Cache::new(&config.cache, clock.clone())?);
        let store = Store::new(&config.database, "gcal-connector")?;
        let http =
            HttpClient::builder().deadline(config.breaker.call_timeout).idle_connections(config.max_calls);
        let http = Arc::new(http.build()?);
        let vault = Arc::new(Vault::new(config.ring));
        let oauth = Arc::new(GoogleOAuth::new(
            Arc::clone(&http),
            config.endpoints,
            config.client_id,
            config.client_secret,
            config.redirect,
        ));
        let fence = Arc::new(LayeredFence::new(clock.clone(), cache.fence()));
        let project = Clients::project_gate(&fence, oauth.client_id(), config.project_lane, config.max_wait);
        let mint = Mint {
            store: store.clone(),
            vault: Arc::clone(&vault),
            oauth: Arc::clone(&oauth),
            clock: clock.clone(),
        };
        let clients = Clients {
            http,
            mint,
            base: config.calendar_base,
            fence,
            project,
            breaker: Arc::new(ServiceBreaker::new(SERVICE, config.breaker, clock.clone())),
            budgets: Budgets { user: config.user_lane, calendar: config.calendar_lane },
            max_wait: config.max_wait,
            retry: config.retry,
            clock: clock.clone(),
            kept: Mutex::new(Kept::default()),
        };
        Ok(Self {
            store,
            cache,
            vault,
            oauth,
            clients,
            clock,
            webhook_address: config.webhook_base.as_ref().map(crate::watch::address),
            page_size: config.page_size,
            quota_park: config.quota_park,
            turns: tokio::sync::Semaphore::new(config.max_calls),
        })
    }
}
