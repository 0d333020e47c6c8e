//! One live subscription for each watched resource, pointing at us (provider facts A6, pains 18 and 19).

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use graph_client::{Certificate, GraphClient, GraphError, GraphErrorKind, NewSubscription, Subscription};
use outbound::Url;
use tokio::sync::Mutex;

use crate::self_test::SelfTest;
use crate::watched::{Watched, ceiling};

/// Asked for less than the longest life: our clock may be ahead of the provider's (pain 36).
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// Where `webhook-ingress` takes lifecycle events.
pub(crate) const LIFECYCLE_PATH: &str = "/api/webhooks/microsoft/lifecycle";

/// What the self-test of the public addresses decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfTestMode {
    /// Its findings explain a refusal; Graph decides, since it may reach what we cannot.
    Advise,
    /// Nothing is created while it fails.
    Require,
    /// Never made.
    Off,
}

impl std::str::FromStr for SelfTestMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "advise" => Ok(Self::Advise),
            "require" => Ok(Self::Require),
            "off" => Ok(Self::Off),
            _ => Err("must be advise, require or off".to_owned()),
        }
    }
}

/// When to renew.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RenewBelow {
    /// Less than this is left.
    Left(TimeDelta),
    /// Less than this share of the longest life is left, per mille.
    PerMille(i32),
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub watched: Watched,
    pub client_state: &'a str,
    pub known_id: Option<&'a str>,
    pub renew_below: RenewBelow,
    pub certificate: Option<Certificate>,
}

/// What there is now.
#[derive(Debug)]
pub(crate) struct Ensured {
    pub id: String,
    pub expires_at: DateTime<Utc>,
    pub renew_at: DateTime<Utc>,
    pub notification_url: String,
    pub action: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum EnsureError {
    #[error("WEBHOOK_BASE_URL is not set: subscriptions need an address that Microsoft can reach")]
    NoWebhook,
    #[error("the public address does not answer as Graph needs it: {0}")]
    SelfTest(String),
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Ensures subscriptions. One at a time: two at once could both create.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    graph: GraphClient,
    base: Option<String>,
    self_test: Arc<SelfTest>,
    mode: SelfTestMode,
    /// Longest lives in minutes that errors have taught, by kind of resource.
    ceilings: StdMutex<HashMap<&'static str, i64>>,
    turn: Mutex<()>,
}

impl Subscriptions {
    pub(crate) fn new(
        graph: GraphClient,
        webhook_base: Option<&Url>,
        self_test: Arc<SelfTest>,
        mode: SelfTestMode,
    ) -> Self {
        let base = webhook_base.map(|base| base.as_str().trim_end_matches('/').to_owned());
        Self { graph, base, self_test, mode, ceilings: StdMutex::default(), turn: Mutex::new(()) }
    }

    pub(crate) fn self_test(&self) -> &SelfTest {
        &self.self_test
    }

    pub(crate) fn graph(&self) -> &GraphClient {
        &self.graph
    }

    /// Whether notifications go to one of our doors.
    pub(crate) fn points_at_us(&self, notification_url: &str) -> bool {
        let rest = self.base.as_deref().and_then(|base| notification_url.strip_prefix(base));
        rest.is_some_and(|rest| rest.starts_with("/api/webhooks/"))
    }

    /// Keeps, renews, adopts or creates.
    pub(crate) async fn ensure(&self, wanted: &Wanted<'_>) -> Result<Ensured, EnsureError> {
        let base = self.base.as_deref().ok_or(EnsureError::NoWebhook)?;
        let url = format!("{base}{}", wanted.watched.door());
        let _turn = self.turn.lock().await;
        if let Some(id) = wanted.known_id
            && let Some(known) = self.graph.subscription(id).await?
            && self.is_ours(&known, &url, wanted)
            && let Some(ensured) = self.keep_or_renew(known, &url, wanted, "kept").await?
        {
            return Ok(ensured);
        }
        if let Some(ensured) = self.adopt(&url, wanted, HiddenSecret::Foreign).await? {
            return Ok(ensured);
        }
        let doubt = self.tested(wanted.watched.door()).await?;
        match self.create(&url, wanted).await {
            Ok(ensured) => Ok(ensured),
            // The answer may have been lost, or another replica was faster: what counts is what there is.
            Err(error) if may_exist(&error) => match self.adopt(&url, wanted, HiddenSecret::Ours).await? {
                Some(ensured) => Ok(ensured),
                None => Err(explained(error, doubt).into()),
            },
            Err(error) => Err(explained(error, doubt).into()),
        }
    }

    /// Tests the addresses before Graph does; what was wrong.
    async fn tested(&self, door: &'static str) -> Result<Option<String>, EnsureError> {
        if self.mode == SelfTestMode::Off {
            return Ok(None);
        }
        let fault = self.self_test.fault(&[door, LIFECYCLE_PATH]).await;
        if let Some(fault) = &fault {
            tracing::warn!(fault, "self-test of the public address failed");
            if self.mode == SelfTestMode::Require {
                return Err(EnsureError::SelfTest(fault.clone()));
            }
        }
        Ok(fault)
    }

    fn is_ours(&self, found: &Subscription, url: &str, wanted: &Wanted<'_>) -> bool {
        // What is hidden cannot be held against it; what is shown and differs can only be made anew.
        let lifecycle = found
            .lifecycle_notification_url
            .as_deref()
            .is_none_or(|l| Some(l) == self.lifecycle().as_deref());
        let rich = found.include_resource_data.unwrap_or(false) == wanted.certificate.is_some();
        found.notification_url == url
            && lifecycle
            && (rich || found.include_resource_data.is_none())
            && wanted.watched.is(&found.resource)
            && found.expires_at.is_some_and(|at| at > self.graph.provider().provider_now())
    }

    fn lifecycle(&self) -> Option<String> {
        self.base.as_ref().map(|base| format!("{base}{LIFECYCLE_PATH}"))
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
        // A certificate that is shown and differs is changed by the renewal.
        let certificate = wanted.certificate.as_ref();
        let changed =
            certificate.filter(|c| found.encryption_certificate_id.as_deref().is_some_and(|id| id != c.id));
        if expires_at - now > self.renew_below(wanted) && changed.is_none() {
            return Ok(Some(self.ensured(found.id, expires_at, url, wanted, action)));
        }
        let kind = wanted.watched.kind;
        let mut renewed = self.graph.renew_subscription(&found.id, self.longest(wanted), changed).await;
        if self.learns_ceiling(kind.name(), &renewed) {
            renewed = self.graph.renew_subscription(&found.id, self.longest(wanted), changed).await;
        }
        Ok(renewed?.map(|subscription| {
            let expires_at = subscription.expires_at.unwrap_or_else(|| self.longest(wanted));
            let action = if action == "adopted" { action } else { "renewed" };
            self.ensured(found.id.clone(), expires_at, url, wanted, action)
        }))
    }

    async fn create(&self, url: &str, wanted: &Wanted<'_>) -> Result<Ensured, GraphError> {
        let new = || NewSubscription {
            resource: wanted.watched.resource(wanted.certificate.is_some()),
            change_type: wanted.watched.kind.changes().to_owned(),
            notification_url: url.to_owned(),
            lifecycle_notification_url: self.lifecycle(),
            certificate: wanted.certificate.clone(),
            client_state: wanted.client_state.to_owned(),
            expires_at: self.longest(wanted),
        };
        let name = wanted.watched.kind.name();
        let mut created = self.graph.create_subscription(&new()).await;
        if self.learns_ceiling(name, &created) {
            created = self.graph.create_subscription(&new()).await;
        }
        let created = created?;
        let expires_at = created.expires_at.unwrap_or_else(|| self.longest(wanted));
        Ok(self.ensured(created.id, expires_at, url, wanted, "created"))
    }

    fn ensured(
        &self,
        id: String,
        expires_at: DateTime<Utc>,
        url: &str,
        wanted: &Wanted<'_>,
        action: &'static str,
    ) -> Ensured {
        let life = self.life(wanted);
        // Up to a tenth of the life earlier, so that not all are renewed at once.
        let jitter = life * jitter_per_mille(&id) / 10_000;
        let renew_at = expires_at - self.renew_below(wanted) - jitter;
        let renew_at = renew_at.max(self.graph.provider().provider_now());
        Ensured { id, expires_at, renew_at, notification_url: url.to_owned(), action }
    }

    fn renew_below(&self, wanted: &Wanted<'_>) -> TimeDelta {
        match wanted.renew_below {
            RenewBelow::Left(left) => left,
            RenewBelow::PerMille(share) => self.life(wanted) * share.clamp(1, 990) / 1_000,
        }
    }

    /// Learns the longest life from an error that names it: the request is worth one more attempt then.
    fn learns_ceiling<T>(&self, kind: &'static str, outcome: &Result<T, GraphError>) -> bool {
        let Some(minutes) = outcome.as_ref().err().and_then(|error| ceiling(&error.message)) else {
            return false;
        };
        tracing::info!(kind, minutes, "learnt the longest life of a subscription");
        let mut ceilings = self.ceilings.lock().unwrap_or_else(PoisonError::into_inner);
        ceilings.insert(kind, minutes) != Some(minutes)
    }

    fn life(&self, wanted: &Wanted<'_>) -> TimeDelta {
        let kind = wanted.watched.kind;
        let ceilings = self.ceilings.lock().unwrap_or_else(PoisonError::into_inner);
        let minutes = ceilings.get(kind.name()).copied().unwrap_or_else(|| kind.documented_minutes());
        (TimeDelta::minutes(minutes) - MARGIN).max(TimeDelta::minutes(1))
    }

    fn longest(&self, wanted: &Wanted<'_>) -> DateTime<Utc> {
        self.graph.provider().provider_now() + self.life(wanted)
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

/// Adds what the self-test found to a refusal that it may explain.
fn explained(mut error: GraphError, doubt: Option<String>) -> GraphError {
    if let Some(doubt) = doubt.filter(|_| error.status == Some(400)) {
        error.message = format!("{} (self-test: {doubt})", error.message);
    }
    error
}

/// 0 to 999, the same for the same subscription: its renewal does not wander when it is looked at often.
fn jitter_per_mille(id: &str) -> i32 {
    let hash =
        id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    i32::try_from(hash % 1_000).unwrap_or_default()
}
