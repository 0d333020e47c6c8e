//! Calls to graph-connector, each with a deadline.

mod graph;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::grpc::{ChannelError, TracedChannel, channel};
use chassis::time::deadline;
use contracts::fault::from_status;
use contracts::graph::v1::graph_connector_client::GraphConnectorClient;
use contracts::graph::v1::graph_mail_client::GraphMailClient;
use contracts::graph::v1::graph_subscriptions_client::GraphSubscriptionsClient;
use contracts::graph::v1::{
    ClearCacheRequest, GetStatusReply, GetStatusRequest, ProviderFault, RefreshTokenRequest,
};
use tokio::sync::Mutex;
use tonic::{Response, Status};

const NAME: &str = "graph-connector";
/// Status must not hold an operator's page up.
const STATUS: Duration = Duration::from_secs(2);
/// A fresh token takes a round trip to the provider, perhaps with a retry.
const TOKEN: Duration = Duration::from_secs(20);
const CACHE: Duration = Duration::from_secs(10);
/// `/health` is open to everyone; the connector is asked at most this often.
const FRESH: Duration = Duration::from_secs(1);

/// Why a call brought nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectorError {
    /// No answer.
    #[error("{0} does not answer: {1}")]
    Away(&'static str, String),
    /// The provider, or our own fence before it.
    #[error("{}", .0.message)]
    Fault(ProviderFault),
}

type Kept = Option<(Instant, Result<GetStatusReply, ConnectorError>)>;

/// The connector's client; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    client: GraphConnectorClient<TracedChannel>,
    mail: GraphMailClient<TracedChannel>,
    subscriptions: GraphSubscriptionsClient<TracedChannel>,
    kept: Arc<Mutex<Kept>>,
}

impl Connector {
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// [`ChannelError`] when `url` is not an address.
    pub fn new(url: &str) -> Result<Self, ChannelError> {
        let channel = channel(url)?;
        Ok(Self {
            client: GraphConnectorClient::new(channel.clone()),
            mail: GraphMailClient::new(channel.clone()),
            subscriptions: GraphSubscriptionsClient::new(channel),
            kept: Arc::default(),
        })
    }

    /// Credential, breaker, throttle windows, cache; at most a second old.
    pub(crate) async fn status(&self) -> Result<GetStatusReply, ConnectorError> {
        let mut kept = self.kept.lock().await;
        if let Some((at, status)) = kept.as_ref()
            && at.elapsed() < FRESH
        {
            return status.clone();
        }
        let mut client = self.client.clone();
        let status = within(NAME, STATUS, client.get_status(GetStatusRequest {})).await;
        *kept = Some((Instant::now(), status.clone()));
        status
    }

    /// Drops the cached token and acquires a fresh one; answers its expiry in microseconds since the epoch.
    pub(crate) async fn refresh_token(&self) -> Result<i64, ConnectorError> {
        let mut client = self.client.clone();
        let reply = within(NAME, TOKEN, client.refresh_token(RefreshTokenRequest {})).await?;
        *self.kept.lock().await = None;
        Ok(reply.expires_at_us)
    }

    /// Forgets cached metadata of a scope, or all when it is empty; answers how many entries.
    pub(crate) async fn clear_cache(&self, scope: String) -> Result<u64, ConnectorError> {
        let mut client = self.client.clone();
        Ok(within(NAME, CACHE, client.clear_cache(ClearCacheRequest { scope })).await?.cleared)
    }
}

/// Calls a connector within a time.
pub(crate) async fn within<T>(
    connector: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, ConnectorError> {
    match deadline(connector, limit, call).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) if status.details().is_empty() => {
            Err(ConnectorError::Away(connector, format!("{:?}: {}", status.code(), status.message())))
        }
        Ok(Err(status)) => Err(ConnectorError::Fault(from_status(&status))),
        Err(elapsed) => Err(ConnectorError::Away(connector, elapsed.to_string())),
    }
}
