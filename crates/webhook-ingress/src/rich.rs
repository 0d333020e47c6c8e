//! Deliveries with encrypted resources: proven by validation tokens, opened with our keys (change-notifications-with-
//! resource-data, Graph v1.0). What is opened is a hint and is not kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chassis::config::SecretSource;
use chassis::secret::Secret;
use outbound::jwks::{ProofFault, SigningKeys};
use outbound::rich::NotificationKeys;
use serde::Deserialize;

use crate::notification::Delivery;

/// What opens and proves deliveries; clones share it.
#[derive(Debug, Clone)]
pub struct Rich {
    keys: Option<SecretSource>,
    ring: Arc<Mutex<Ring>>,
    signing: SigningKeys,
    applications: Vec<String>,
}

/// The keys as they were read last.
#[derive(Debug, Default)]
struct Ring {
    read: Option<Secret>,
    keys: Option<Arc<NotificationKeys>>,
}

/// Microsoft's signing keys are not known: the delivery can be judged later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Microsoft's signing keys could not be fetched")]
pub struct CannotJudge;

/// The part of an opened message that names it (chatMessage resource, Graph v1.0).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    id: Option<String>,
    reply_to_id: Option<String>,
}

impl Rich {
    /// `keys` is `GRAPH_NOTIFICATION_KEYS`, `applications` are our client ids.
    pub fn new(keys: Option<SecretSource>, signing: SigningKeys, applications: Vec<String>) -> Self {
        Self { keys, ring: Arc::default(), signing, applications }
    }

    /// Whether encrypted resources are expected.
    pub fn expected(&self) -> bool {
        self.keys.is_some()
    }

    /// Fetches the signing keys ahead of need. Call it now and then.
    pub async fn freshen(&self) {
        self.signing.freshen().await;
    }

    /// Refuses what is not proven, and names what an opened resource names. Deliveries without encrypted resources
    /// pass: their clientState alone speaks for them.
    ///
    /// # Errors
    /// [`CannotJudge`]; nothing may be acknowledged then.
    pub async fn judge(&self, delivery: &mut Delivery) -> Result<(), CannotJudge> {
        if delivery.sealed.is_empty() {
            return Ok(());
        }
        if let Err(reason) = self.proven(delivery).await? {
            // Whoever sent one part that is not proven sent the other parts too.
            for notification in &mut delivery.notifications {
                notification.refuse(&reason);
            }
            return Ok(());
        }
        let keys = self.keys();
        let sealed = std::mem::take(&mut delivery.sealed);
        let opened = tokio::task::spawn_blocking(move || {
            let open = |content: &outbound::rich::Encrypted| keys.open(content);
            let each = sealed.into_iter().map(|sealed| {
                let opened = sealed.content.as_ref().map(open).map(|opened| opened.map(|plain| name(&plain)));
                (sealed.index, opened)
            });
            each.collect::<Vec<_>>()
        });
        for (index, outcome) in opened.await.map_err(|_| CannotJudge)? {
            let Some(notification) = delivery.notifications.get_mut(index) else { continue };
            match outcome {
                Some(Ok(named)) => {
                    if let Some(named) = named {
                        notification.name(named);
                    }
                }
                Some(Err(fault)) => notification.refuse(&fault.to_string()),
                None => notification.refuse("what is encrypted has not the documented shape"),
            }
        }
        Ok(())
    }

    /// Whether every tenant of the delivery is spoken for by a valid token; the inner error says why not.
    async fn proven(&self, delivery: &Delivery) -> Result<Result<(), String>, CannotJudge> {
        let mut tenants = BTreeSet::new();
        let mut reason = "no validation token".to_owned();
        for token in &delivery.tokens {
            match self.signing.prove(token, &self.applications).await {
                Ok(tenant) => _ = tenants.insert(tenant),
                Err(ProofFault::NoKeys) => return Err(CannotJudge),
                Err(fault) => reason = format!("validation token: {fault}"),
            }
        }
        let covered =
            |tenant: &Option<String>| tenant.as_ref().is_some_and(|tenant| tenants.contains(tenant));
        if delivery.tenants.iter().all(covered) {
            return Ok(Ok(()));
        }
        if !tenants.is_empty() {
            "no validation token covers its tenant".clone_into(&mut reason);
        }
        Ok(Err(reason))
    }

    /// The configured keys; they are read again when their file changed. Unusable ones leave the last good ones in use.
    fn keys(&self) -> Arc<NotificationKeys> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.keys.as_ref().map(SecretSource::current);
        if current != ring.read
            && let Some(secret) = &current
        {
            match NotificationKeys::parse(secret.expose()) {
                Ok(keys) => ring.keys = Some(Arc::new(keys)),
                Err(fault) => tracing::error!(%fault, "GRAPH_NOTIFICATION_KEYS cannot be used"),
            }
            ring.read = current;
        }
        ring.keys.clone().unwrap_or_else(|| Arc::new(NotificationKeys::none()))
    }
}

/// What an opened message is called; a reply is `{root}/{reply}`. None for other resources.
fn name(plain: &[u8]) -> Option<String> {
    let opened: Opened = serde_json::from_slice(plain).ok()?;
    let plain = |id: &String| !id.is_empty() && !id.chars().any(char::is_control);
    let id = opened.id.filter(plain)?;
    Some(match opened.reply_to_id.filter(plain) {
        Some(root) => format!("{root}/{id}"),
        None => id,
    })
}
