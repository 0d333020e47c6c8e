//! Push channels: the row before the call, the new one before the old one ends.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::ids::{new_id, random_bytes};
use chassis::time::deadline;
use contracts::fault::refused;
use contracts::gcal::v1::{StopChannelReply, StopChannelRequest, WatchReply, WatchRequest};
use contracts::graph::v1::FaultKind;
use domain::ids::CompanyId;
use gcal_client::{Channel, GcalClient, GcalError, GcalErrorKind, NewChannel};
use outbound::Url;
use sha2::{Digest, Sha256};
use store::StoreError;
use store::calendar::connections;
use store::calendar::webhooks::{self, Webhook};
use tonic::Status;
use uuid::Uuid;

use crate::fault::{status_of, store_status};
use crate::outcome::{Way, company, id};
use crate::server::Connector;

/// Where `webhook-ingress` takes Google's messages.
const PATH: &str = "/api/webhooks/google-calendar";
/// Longest wait for Google to stop one channel.
const STOP: Duration = Duration::from_secs(5);

/// The address that channels deliver to.
pub(crate) fn address(base: &Url) -> String {
    format!("{}{PATH}", base.as_str().trim_end_matches('/'))
}

/// How many channels stopped, and how many go on firing until they expire.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stopped {
    pub stopped: u32,
    pub orphaned: u32,
}

impl Connector {
    pub(crate) async fn watch_calendar(&self, request: WatchRequest) -> Result<WatchReply, Status> {
        let address = self.webhook_address.as_deref().ok_or_else(|| {
            let message = "WEBHOOK_BASE_URL is not set: channels need an address that Google can reach";
            refused("notConfigured", message)
        })?;
        let way = self.way(request.context.as_ref(), &request.connection_id).await?;
        let (channel_id, token) = (new_id().to_string(), URL_SAFE_NO_PAD.encode(random_bytes::<32>()));
        let digest = Sha256::digest(token.as_bytes());
        let (company, connection) = (way.company, way.connection);
        let registered = async {
            let mut tx = self.store.tenant(company).await?;
            let older = webhooks::living(&mut tx, company, connection).await?;
            let row = webhooks::register(&mut tx, company, connection, &channel_id, &digest, address).await?;
            tx.commit().await?;
            Ok((row, older))
        };
        let (row, older) = registered.await.map_err(|error: StoreError| store_status(&error))?;
        let new = NewChannel {
            id: &channel_id,
            token: &token,
            address,
            ttl_seconds: Some(request.ttl_seconds).filter(|seconds| *seconds > 0),
        };
        let channel = match way.client.watch_events(&way.route.calendar_id, &new).await {
            Ok(channel) => channel,
            Err(error) => return self.not_watched(&way, row, error).await,
        };
        self.live(&way, row, &channel).await?;
        let stopped = self.stop_all(company, &way.client, older, "replaced").await?;
        Ok(WatchReply {
            webhook_id: row.to_string(),
            channel_id,
            resource_id: channel.resource_id,
            expiration_ms: channel.expiration.unwrap_or_default(),
            stopped: stopped.stopped,
            orphaned: stopped.orphaned,
            capability: "push".to_owned(),
        })
    }

    /// Notes that Google made the channel. One whose calendar was disconnected meanwhile is stopped again.
    async fn live(&self, way: &Way<'_>, row: Uuid, channel: &Channel) -> Result<(), Status> {
        // Without an expiry the channel would be renewed at once, for ever: Google always names one, an hour is safe.
        let fallback = self.clock.now().timestamp_millis() + 3_600_000;
        let expiration = channel.expiration.unwrap_or(fallback);
        let activated = async {
            let mut tx = self.store.tenant(way.company).await?;
            let living =
                webhooks::activate(&mut tx, way.company, row, &channel.resource_id, expiration).await?;
            tx.commit().await?;
            Ok(living)
        };
        if activated.await.map_err(|error: StoreError| store_status(&error))? {
            return Ok(());
        }
        let stopped = way.client.stop_channel(&channel.id, &channel.resource_id).await;
        self.ended(way.company, row, if stopped.is_ok() { "stopped" } else { "orphaned" }, "disconnected")
            .await?;
        Err(status_of(FaultKind::Credential, "revoked", "the calendar was disconnected meanwhile"))
    }

    async fn not_watched(&self, way: &Way<'_>, row: Uuid, error: GcalError) -> Result<WatchReply, Status> {
        let state = if error.kind == GcalErrorKind::Ambiguous { "orphaned" } else { "failed" };
        self.ended(way.company, row, state, &error.to_string()).await?;
        let capability = match error.kind {
            GcalErrorKind::PushNotSupported => "poll",
            GcalErrorKind::NotFound => "gone",
            _ => return self.settle(way, Err(error)).await,
        };
        let noted = async {
            let mut tx = self.store.tenant(way.company).await?;
            connections::set_capability(&mut tx, way.company, way.connection, capability).await?;
            tx.commit().await
        };
        noted.await.map_err(|error| store_status(&error))?;
        tracing::info!(connection = %way.connection, capability, "the calendar cannot be watched");
        if capability == "gone" {
            return self.settle(way, Err(error)).await;
        }
        Ok(WatchReply { capability: capability.to_owned(), ..WatchReply::default() })
    }

    /// Stops channels, each within a bounded time, and notes what became of them.
    pub(crate) async fn stop_all(
        &self,
        company: CompanyId,
        client: &GcalClient,
        channels: Vec<Webhook>,
        state: &str,
    ) -> Result<Stopped, Status> {
        let mut counts = Stopped::default();
        for channel in channels {
            let stop = async {
                // Never answered: without Google's id of the resource nobody can stop it.
                let resource = channel.resource_id.as_deref()?;
                Some(client.stop_channel(&channel.channel_id, resource).await)
            };
            let (end, reason) = match deadline("stopping a channel", STOP, stop).await {
                Ok(Some(Ok(_existed))) => (state, String::new()),
                Ok(Some(Err(error))) => ("orphaned", error.to_string()),
                Ok(None) => ("orphaned", "its registration was never answered".to_owned()),
                Err(elapsed) => ("orphaned", elapsed.to_string()),
            };
            if end == "orphaned" {
                counts.orphaned += 1;
                tracing::warn!(channel = channel.channel_id, reason, "a channel fires until it expires");
            } else {
                counts.stopped += 1;
            }
            self.ended(company, channel.id, end, &reason).await?;
        }
        Ok(counts)
    }

    async fn ended(&self, company: CompanyId, row: Uuid, state: &str, reason: &str) -> Result<(), Status> {
        let noted = async {
            let mut tx = self.store.tenant(company).await?;
            webhooks::end(&mut tx, company, row, state, reason).await?;
            tx.commit().await
        };
        noted.await.map_err(|error| store_status(&error))
    }

    pub(crate) async fn stop_one(&self, request: StopChannelRequest) -> Result<StopChannelReply, Status> {
        let (company, row) = (company(request.context.as_ref())?, id("webhook_id", &request.webhook_id)?);
        let found = async {
            let mut tx = self.store.tenant(company).await?;
            webhooks::get(&mut tx, company, row).await
        };
        let Some(channel) = found.await.map_err(|error| store_status(&error))? else {
            return Ok(StopChannelReply { existed: false });
        };
        let _turn = self.turn().await?;
        let route = self.route(company, channel.connection_id).await?;
        let client = self.clients.of(company, route.account_id, channel.connection_id);
        let counts = self.stop_all(company, &client, vec![channel], "stopped").await?;
        Ok(StopChannelReply { existed: counts.stopped > 0 })
    }
}
