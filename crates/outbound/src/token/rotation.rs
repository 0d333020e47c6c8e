//! Changing the secret without a restart and without a failed request: a new secret proves itself with a token request
//! of its own, and only then takes over. The token in hand keeps working meanwhile.

use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::{Shutdown, Tasks};
use chassis::secret::Secret;
use chassis::time::pause;
use chrono::{DateTime, Utc};
use domain::time::after;

use super::source::EntraTokens;
use super::state::Held;

/// How often the secrets are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// How long a secret that failed its proof is left alone: new ones need a while until all of Entra knows them.
const LEFT_ALONE: Duration = Duration::from_secs(30);

/// What one look at the secrets came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The best secret is in use, or nothing better has proven itself yet.
    Unchanged,
    /// A secret has proven itself and is in use now: `current` or `next`.
    Switched(&'static str),
    /// A secret was refused; the one in use stays.
    Refused(&'static str),
}

/// A secret that failed its proof.
#[derive(Debug, Clone)]
pub struct Failed {
    secret: Secret,
    at: DateTime<Utc>,
}

impl EntraTokens {
    /// Looks whether there is a better secret than the one in use (the next one, or a new content of the current one),
    /// and proves it. `failed` is what earlier looks found.
    pub async fn rotate(&self, failed: &mut Vec<Failed>) -> Rotation {
        let now = self.clock.now();
        failed.retain(|f| now < after(f.at, LEFT_ALONE));
        // The first token is the matter of the first call.
        let Some(used) = self.state().used.clone() else { return Rotation::Unchanged };
        let mut outcome = Rotation::Unchanged;
        for (name, secret) in self.config.secrets().into_iter().rev() {
            if secret == used {
                break;
            }
            if failed.iter().any(|f| f.secret == secret) {
                continue;
            }
            match self.request(&secret, None).await {
                Ok((token, life)) => {
                    let _turn = self.turn.lock().await;
                    let held = Held::new(token, self.clock.now(), life);
                    self.state().granted(held, name, &secret, None);
                    metrics::gauge!("provider_secret_reload_timestamp_seconds", "provider" => "microsoft")
                        .set(seconds(self.clock.now()));
                    tracing::info!(secret = name, "client secret proven, it is in use now");
                    return Rotation::Switched(name);
                }
                Err(error) => {
                    tracing::warn!(secret = name, %error, "client secret failed its proof, the one in use stays");
                    failed.push(Failed { secret, at: now });
                    outcome = Rotation::Refused(name);
                }
            }
        }
        outcome
    }

    /// Looks at the secrets until the process drains, and reports the expiry.
    pub fn watch(self: Arc<Self>, tasks: &Tasks, shutdown: &Shutdown) {
        if let Some(at) = self.config.secret_expires_at {
            metrics::gauge!("provider_secret_expiry_timestamp_seconds", "provider" => "microsoft")
                .set(seconds(at));
        }
        let draining = shutdown.draining();
        tasks.spawn("client secrets", async move {
            let mut failed = Vec::new();
            loop {
                tokio::select! {
                    () = draining.cancelled() => return,
                    () = pause(EVERY) => {}
                }
                self.rotate(&mut failed).await;
            }
        });
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a float")]
fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp() as f64
}
