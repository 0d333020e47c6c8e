//! What operators need to know.

use std::time::Duration;

use chassis::time::deadline;
use contracts::graph::v1::GetStatusReply;
use domain::time::after;

use crate::convert::micros;
use crate::server::Connector;

/// How long a status may wait for the first token.
const TOKEN_WAIT: Duration = Duration::from_secs(5);

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Connector {
    pub(crate) async fn report(&self) -> GetStatusReply {
        let provider = self.graph.provider();
        let mut token = provider.tokens().status();
        if token.missing.is_empty() && !token.authenticated {
            // Before the first call there is no token: find out instead of reporting a guess.
            let _outcome = deadline("first access token", TOKEN_WAIT, provider.tokens().bearer()).await;
            token = provider.tokens().status();
        }
        let breaker = provider.breaker().status();
        let retry = provider.retry_policy();
        let window = provider.gate().window().await;
        let cache = self.cache.status().await;
        GetStatusReply {
            configured: token.missing.is_empty(),
            missing: token.missing,
            authenticated: token.authenticated,
            token_expires_at_us: token.expires_at.map(micros),
            last_auth_error: token.last_error.map(|error| error.to_string()).unwrap_or_default(),
            breaker_state: i32::from(breaker.code),
            breaker_retry_at_us: breaker.retry_at.map(micros),
            throttled_until_us: window.map(|wait| micros(after(self.clock.now(), wait))),
            cache_provider: cache.provider.to_owned(),
            cache_connected: cache.connected,
            missing_permissions: self.permissions.missing(),
            retry_max_attempts: i32::try_from(retry.max_attempts).unwrap_or(i32::MAX),
            retry_initial_ms: millis(retry.initial),
            retry_max_ms: millis(retry.max),
            breaker_failure_threshold: i32::try_from(breaker.config.failure_threshold).unwrap_or(i32::MAX),
            breaker_timeout_ms: millis(breaker.config.call_timeout),
            breaker_reset_ms: millis(breaker.config.reset_timeout),
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            active_secret: token.active_secret.to_owned(),
            secret_expires_at_us: token.secret_expires_at.map(micros),
        }
    }
}
