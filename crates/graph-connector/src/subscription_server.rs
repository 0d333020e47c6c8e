//! The gRPC service of subscriptions.

use contracts::fault::refused;
use contracts::graph::v1::graph_subscriptions_server::GraphSubscriptions;
use contracts::graph::v1::{
    EnsureSubscriptionReply, EnsureSubscriptionRequest, ListSubscriptionsReply, ListSubscriptionsRequest,
    ProbePermissionsReply, ProbePermissionsRequest, ProviderSubscription, ReauthorizeSubscriptionReply,
    ReauthorizeSubscriptionRequest, RemoveSubscriptionReply, RemoveSubscriptionRequest,
    TestNotificationUrlReply, TestNotificationUrlRequest, UrlTest,
};
use graph_client::{Certificate, Subscription};
use tonic::{Request, Response, Status};

use crate::convert::micros;
use crate::fault::status;
use crate::mail::given;
use crate::server::{Connector, MAX_CLIENT_STATE};
use crate::subscription::{EnsureError, RenewBelow, Wanted};
use crate::watched::Watched;

/// Share of the longest life below which a subscription is renewed, unless told otherwise.
const HALF: i32 = 500;

fn id(text: &str) -> Result<&str, Status> {
    given(text).ok_or_else(|| refused("invalidRequest", "subscription_id is empty"))
}

#[tonic::async_trait]
impl GraphSubscriptions for Connector {
    async fn ensure_subscription(
        &self,
        request: Request<EnsureSubscriptionRequest>,
    ) -> Result<Response<EnsureSubscriptionReply>, Status> {
        let request = request.into_inner();
        let watched = Watched::parse(request.resource(), &request.resource_id)
            .map_err(|fault| refused("invalidRequest", fault))?;
        if request.client_state.is_empty() || request.client_state.len() > MAX_CLIENT_STATE {
            let message = format!("client_state must have 1 to {MAX_CLIENT_STATE} characters");
            return Err(refused("invalidRequest", message));
        }
        let certificate = given(&request.encryption_certificate).map(|encoded| Certificate {
            encoded: encoded.to_owned(),
            id: request.encryption_certificate_id.clone(),
        });
        if certificate.as_ref().is_some_and(|c| c.id.is_empty() || c.id.len() > MAX_CLIENT_STATE) {
            let message = format!("encryption_certificate_id must have 1 to {MAX_CLIENT_STATE} characters");
            return Err(refused("invalidRequest", message));
        }
        let _turn = self.turn().await?;
        let permission = watched.kind.permission();
        let share = if request.renew_below_per_mille == 0 { HALF } else { request.renew_below_per_mille };
        let wanted = Wanted {
            watched,
            client_state: &request.client_state,
            known_id: given(&request.known_subscription_id),
            renew_below: RenewBelow::PerMille(share),
            certificate,
        };
        let ensured = match self.subscriptions.ensure(&wanted).await {
            Ok(ensured) => self.learn(permission, Ok(ensured))?,
            Err(EnsureError::Graph(error)) => return self.learn(permission, Err(error)),
            Err(error @ EnsureError::NoWebhook) => return Err(refused("notConfigured", error.to_string())),
            Err(error @ EnsureError::SelfTest(_)) => {
                return Err(refused("selfTestFailed", error.to_string()));
            }
        };
        tracing::info!(subscription = ensured.id, action = ensured.action, "subscription ensured");
        Ok(Response::new(EnsureSubscriptionReply {
            subscription_id: ensured.id,
            expires_at_us: micros(ensured.expires_at),
            notification_url: ensured.notification_url,
            action: ensured.action.to_owned(),
            renew_at_us: micros(ensured.renew_at),
        }))
    }

    async fn reauthorize_subscription(
        &self,
        request: Request<ReauthorizeSubscriptionRequest>,
    ) -> Result<Response<ReauthorizeSubscriptionReply>, Status> {
        let request = request.into_inner();
        let id = id(&request.subscription_id)?;
        let _turn = self.turn().await?;
        let existed = self.subscriptions.graph().reauthorize_subscription(id).await;
        let existed = existed.map_err(|error| status(&error))?;
        Ok(Response::new(ReauthorizeSubscriptionReply { existed }))
    }

    async fn list_subscriptions(
        &self,
        _: Request<ListSubscriptionsRequest>,
    ) -> Result<Response<ListSubscriptionsReply>, Status> {
        let _turn = self.turn().await?;
        let all = self.subscriptions.graph().subscriptions().await.map_err(|error| status(&error))?;
        let shown = |found: Subscription| ProviderSubscription {
            points_at_us: self.subscriptions.points_at_us(&found.notification_url),
            id: found.id,
            resource: found.resource,
            change_type: found.change_type,
            notification_url: found.notification_url,
            expires_at_us: found.expires_at.map(micros),
        };
        Ok(Response::new(ListSubscriptionsReply { subscriptions: all.into_iter().map(shown).collect() }))
    }

    async fn remove_subscription(
        &self,
        request: Request<RemoveSubscriptionRequest>,
    ) -> Result<Response<RemoveSubscriptionReply>, Status> {
        let request = request.into_inner();
        let id = id(&request.subscription_id)?;
        let _turn = self.turn().await?;
        let existed = self.subscriptions.graph().delete_subscription(id).await;
        Ok(Response::new(RemoveSubscriptionReply { existed: existed.map_err(|error| status(&error))? }))
    }

    async fn test_notification_url(
        &self,
        _: Request<TestNotificationUrlRequest>,
    ) -> Result<Response<TestNotificationUrlReply>, Status> {
        let _turn = self.turn().await?;
        let mut tests: Vec<UrlTest> = Vec::new();
        for tested in self.subscriptions.self_test().all().await {
            let passed = tested.fault.is_none();
            tests.push(UrlTest { url: tested.url, passed, detail: tested.fault.unwrap_or_default() });
        }
        if tests.is_empty() {
            let error = EnsureError::NoWebhook;
            return Err(refused("notConfigured", error.to_string()));
        }
        Ok(Response::new(TestNotificationUrlReply { tests }))
    }

    async fn probe_permissions(
        &self,
        request: Request<ProbePermissionsRequest>,
    ) -> Result<Response<ProbePermissionsReply>, Status> {
        let request = request.into_inner();
        let _turn = self.turn().await?;
        let probes = self.probe_all(given(&request.user_id), given(&request.team_id)).await;
        Ok(Response::new(ProbePermissionsReply { probes }))
    }
}
