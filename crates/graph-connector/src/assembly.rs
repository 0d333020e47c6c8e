//! Puts the connector's parts together.

use std::sync::Arc;

use cache::Cache;
use chassis::service::BoxError;
use domain::time::SharedClock;
use outbound::http::HttpClient;
use outbound::throttle::LayeredFence;
use outbound::token::EntraTokens;

use crate::clients::{Clients, Parts};
use crate::config::ConnectorConfig;
use crate::self_test::SelfTest;
use crate::server::Connector;
use crate::subscription::Subscriptions;

impl Connector {
    /// Builds the connector; connects to nothing yet.
    ///
    /// # Errors
    /// When TLS cannot be set up or `REDIS_URL` is not usable.
    pub fn assemble(config: &ConnectorConfig, clock: SharedClock) -> Result<Self, BoxError> {
        let cache = Arc::new(Cache::new(&config.cache, clock.clone())?);
        let client =
            HttpClient::builder().deadline(config.breaker.call_timeout).idle_connections(config.max_calls);
        let http = Arc::new(client.build()?);
        let tokens = Arc::new(EntraTokens::new(Arc::clone(&http), config.entra.clone(), clock.clone()));
        let clients = Clients::new(Parts {
            http: Arc::clone(&http),
            tokens: Arc::clone(&tokens),
            base: config.graph_base.clone(),
            fence: Arc::new(LayeredFence::new(clock.clone(), cache.fence())),
            budgets: config.budgets,
            max_wait: config.max_wait,
            retry: config.retry,
            breaker: config.breaker,
            clock: clock.clone(),
        });
        let self_test = SelfTest::new(http, config.webhook_base.clone(), clock.clone());
        let subscriptions = Subscriptions::new(
            clients.subscriptions.clone(),
            config.webhook_base.as_ref(),
            Arc::new(self_test),
            config.self_test,
        );
        Ok(Self::new(clients, tokens, cache, subscriptions, config, clock))
    }
}
