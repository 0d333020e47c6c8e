//! One live subscription for each drive root, pointing at us (provider facts A6, pains 18 and 19).

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use graph_client::{GraphClient, GraphError, GraphErrorKind, NewSubscription, Subscription};
use outbound::Url;
use tokio::sync::Mutex;

/// Longest life of a drive subscription in minutes, until an error teaches another (subscription resource,
/// Graph v1.0).
const MAX_MINUTES: i64 = 42_300;
/// Asked for less than the longest life: our clock may be ahead of the provider's (pain 36).
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// Where `webhook-ingress` takes drive notifications.
const NOTIFICATION_PATH: &str = "/api/webhooks/onedrive";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub drive_id: &'a str,
    pub client_state: &'a str,
    pub known_id: Option<&'a str>,
    pub renew_before: TimeDelta,
}

/// What there is now.
#[derive(Debug)]
pub(crate) struct Ensured {
    pub id: String,
    pub expires_at: DateTime<Utc>,
    pub notification_url: String,
    pub action: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum EnsureError {
    #[error("WEBHOOK_BASE_URL is not set: subscriptions need an address that Microsoft can reach")]
    NoWebhook,
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Ensures subscriptions. One at a time: two at once could both create.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    graph: GraphClient,
    notification_url: Option<String>,
    max_minutes: AtomicI64,
    turn: Mutex<()>,
}

impl Subscriptions {
    pub(crate) fn new(graph: GraphClient, webhook_base: Option<&Url>) -> Self {
        let notification_url =
            webhook_base.map(|base| format!("{}{NOTIFICATION_PATH}", base.as_str().trim_end_matches('/')));
        Self { graph, notification_url, max_minutes: AtomicI64::new(MAX_MINUTES), turn: Mutex::new(()) }
    }

    /// Keeps, renews, adopts or creates.
    pub(crate) async fn ensure(&self, wanted: &Wanted<'_>) -> Result<Ensured, EnsureError> {
        let url = self.notification_url.as_deref().ok_or(EnsureError::NoWebhook)?;
        let _turn = self.turn.lock().await;
        if let Some(id) = wanted.known_id
            && let Some(known) = self.graph.subscription(id).await?
            && self.is_ours(&known, url, wanted)
            && let Some(ensured) = self.keep_or_renew(known, url, wanted, "kept").await?
        {
            return Ok(ensured);
        }
        if let Some(ensured) = self.adopt(url, wanted, HiddenSecret::Foreign).await? {
            return Ok(ensured);
        }
        match self.create(url, wanted).await {
            Ok(ensured) => Ok(ensured),
            // The answer may have been lost, or another replica was faster: what counts is what there is.
            Err(error) if may_exist(&error) => match self.adopt(url, wanted, HiddenSecret::Ours).await? {
                Some(ensured) => Ok(ensured),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn is_ours(&self, found: &Subscription, url: &str, wanted: &Wanted<'_>) -> bool {
        let resource = format!("drives/{}/root", wanted.drive_id);
        found.notification_url == url
            && found.resource.trim_matches('/').eq_ignore_ascii_case(&resource)
            && found.expires_at.is_some_and(|at| at > self.graph.provider().provider_now())
    }

    /// Looks for a live subscription of ours, and deletes doubles and those whose secret we do not share.
    async fn adopt(
        &self,
        url: &str,
        wanted: &Wanted<'_>,
        hidden: HiddenSecret,
    ) -> Result<Option<Ensured>, EnsureError> {
        let mut ours: Vec<Subscription> = self.graph.subscriptions().await?;
        ours.retain(|s| self.is_ours(s, url, wanted));
        ours.sort_by_key(|s| std::cmp::Reverse(s.expires_at));
        let mut adopted = None;
        for found in ours {
            // A secret that we do not share would fail every notification.
            let foreign_secret = match found.client_state.as_deref() {
                Some(state) => state != wanted.client_state,
                None => hidden == HiddenSecret::Foreign,
            };
            if foreign_secret || adopted.is_some() {
                tracing::info!(subscription = found.id, foreign_secret, "surplus subscription deleted");
                self.graph.delete_subscription(&found.id).await?;
            } else {
                adopted = self.keep_or_renew(found, url, wanted, "adopted").await?;
            }
        }
        Ok(adopted)
    }

    /// `None` when it vanished meanwhile.
    async fn keep_or_renew(
        &self,
        found: Subscription,
        url: &str,
        wanted: &Wanted<'_>,
        action: &'static str,
    ) -> Result<Option<Ensured>, EnsureError> {
        let now = self.graph.provider().provider_now();
        let expires_at = found.expires_at.unwrap_or(now);
        if expires_at - now > wanted.renew_before {
            let notification_url = url.to_owned();
            return Ok(Some(Ensured { id: found.id, expires_at, notification_url, action }));
        }
        let mut renewed = self.graph.renew_subscription(&found.id, self.longest()).await;
        if self.learns_ceiling(&renewed) {
            renewed = self.graph.renew_subscription(&found.id, self.longest()).await;
        }
        Ok(renewed?.map(|subscription| Ensured {
            id: found.id.clone(),
            expires_at: subscription.expires_at.unwrap_or_else(|| self.longest()),
            notification_url: url.to_owned(),
            action: if action == "adopted" { action } else { "renewed" },
        }))
    }

    async fn create(&self, url: &str, wanted: &Wanted<'_>) -> Result<Ensured, GraphError> {
        let new = || NewSubscription {
            resource: format!("/drives/{}/root", wanted.drive_id),
            change_type: "updated".to_owned(),
            notification_url: url.to_owned(),
            client_state: wanted.client_state.to_owned(),
            expires_at: self.longest(),
        };
        let mut created = self.graph.create_subscription(&new()).await;
        if self.learns_ceiling(&created) {
            created = self.graph.create_subscription(&new()).await;
        }
        let created = created?;
        Ok(Ensured {
            id: created.id,
            expires_at: created.expires_at.unwrap_or_else(|| self.longest()),
            notification_url: url.to_owned(),
            action: "created",
        })
    }

    /// Learns the longest life from an error that names it: the request is worth one more attempt then.
    fn learns_ceiling<T>(&self, outcome: &Result<T, GraphError>) -> bool {
        let Some(minutes) = outcome.as_ref().err().and_then(|error| ceiling(&error.message)) else {
            return false;
        };
        tracing::info!(minutes, "learnt the longest life of a subscription");
        self.max_minutes.swap(minutes, Ordering::Relaxed) != minutes
    }

    fn longest(&self) -> DateTime<Utc> {
        let life = TimeDelta::minutes(self.max_minutes.load(Ordering::Relaxed)) - MARGIN;
        self.graph.provider().provider_now() + life.max(TimeDelta::minutes(1))
    }
}

/// Whose a secret is that Graph does not show: somebody's, before we tried to create; ours, right after, since
/// the others were deleted by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HiddenSecret {
    Ours,
    Foreign,
}

/// A create whose outcome is open, or that collided with what is already there.
fn may_exist(error: &GraphError) -> bool {
    matches!(error.kind, GraphErrorKind::Unavailable) || error.status == Some(409)
}

/// Minutes in `Subscription expiration can only be 4230 minutes in the future.`: the one thing that only a message
/// tells (provider facts A6).
fn ceiling(message: &str) -> Option<i64> {
    let rest = message.split("can only be ").nth(1)?;
    let minutes: i64 = rest.split(" minutes").next()?.trim().parse().ok()?;
    (1..=525_600).contains(&minutes).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_learnt() {
        assert_eq!(ceiling("Subscription expiration can only be 4230 minutes in the future."), Some(4_230));
        assert_eq!(ceiling("Subscription expiration can only be 0 minutes in the future."), None);
        assert_eq!(ceiling("Access denied"), None);
    }
}
