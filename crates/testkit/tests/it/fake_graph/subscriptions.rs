//! Subscriptions.

use async_trait::async_trait;
use contracts::graph::v1 as pb;
use contracts::graph::v1::graph_subscriptions_server::GraphSubscriptions;
use tonic::{Request, Response};

use super::{Answer, FakeGraph, chrono_us};

/// An hour, in microseconds.
const HOUR: i64 = 3_600_000_000;

#[async_trait]
impl GraphSubscriptions for FakeGraph {
    async fn ensure_subscription(
        &self,
        request: Request<pb::EnsureSubscriptionRequest>,
    ) -> Answer<pb::EnsureSubscriptionReply> {
        let mut state = self.called("ensure_subscription");
        let request = request.into_inner();
        assert!(!request.client_state.is_empty() && request.renew_below_per_mille == 500);
        let known = state.subscriptions.iter().any(|s| s.id == request.known_subscription_id);
        let (id, action) = if known {
            (request.known_subscription_id, "renewed")
        } else {
            (format!("sub-{}", state.calls.len()), "created")
        };
        if !known {
            state.subscriptions.push(pb::ProviderSubscription {
                id: id.clone(),
                resource: request.resource_id,
                points_at_us: true,
                ..pb::ProviderSubscription::default()
            });
        }
        Ok(Response::new(pb::EnsureSubscriptionReply {
            subscription_id: id,
            expires_at_us: chrono_us() + 70 * HOUR,
            notification_url: "https://door.example/api/webhooks/outlook".to_owned(),
            action: action.to_owned(),
            renew_at_us: chrono_us() + 35 * HOUR,
        }))
    }

    async fn reauthorize_subscription(
        &self,
        request: Request<pb::ReauthorizeSubscriptionRequest>,
    ) -> Answer<pb::ReauthorizeSubscriptionReply> {
        let mut state = self.called("reauthorize_subscription");
        let id = request.into_inner().subscription_id;
        let existed = state.subscriptions.iter().any(|s| s.id == id);
        state.reauthorized += usize::from(existed);
        Ok(Response::new(pb::ReauthorizeSubscriptionReply { existed }))
    }

    async fn list_subscriptions(
        &self,
        _: Request<pb::ListSubscriptionsRequest>,
    ) -> Answer<pb::ListSubscriptionsReply> {
        let state = self.called("list_subscriptions");
        Ok(Response::new(pb::ListSubscriptionsReply { subscriptions: state.subscriptions.clone() }))
    }

    async fn remove_subscription(
        &self,
        request: Request<pb::RemoveSubscriptionRequest>,
    ) -> Answer<pb::RemoveSubscriptionReply> {
        let mut state = self.called("remove_subscription");
        let (id, before) = (request.into_inner().subscription_id, state.subscriptions.len());
        state.subscriptions.retain(|s| s.id != id);
        Ok(Response::new(pb::RemoveSubscriptionReply { existed: state.subscriptions.len() < before }))
    }

    async fn test_notification_url(
        &self,
        _: Request<pb::TestNotificationUrlRequest>,
    ) -> Answer<pb::TestNotificationUrlReply> {
        drop(self.called("test_notification_url"));
        let url = "https://door.example/api/webhooks/outlook".to_owned();
        let test = pb::UrlTest { url, passed: true, detail: String::new() };
        Ok(Response::new(pb::TestNotificationUrlReply { tests: vec![test] }))
    }

    async fn probe_permissions(
        &self,
        _: Request<pb::ProbePermissionsRequest>,
    ) -> Answer<pb::ProbePermissionsReply> {
        drop(self.called("probe_permissions"));
        let probe = pb::PermissionProbe {
            capability: "mail".to_owned(),
            permission: "Mail.Read".to_owned(),
            granted: true,
            untried: String::new(),
        };
        Ok(Response::new(pb::ProbePermissionsReply { probes: vec![probe] }))
    }
}
