//! Configuration from the environment.

use std::net::SocketAddr;
use std::time::Duration;

use cache::CacheConfig;
use chassis::config::{Env, FromEnv, SecretSource};
use domain::breaker::BreakerConfig;
use domain::calendar::quota;
use domain::retry::RetryPolicy;
use gcal_client::Endpoints;
use outbound::Url;
use outbound::throttle::LaneRules;
use outbound::vault::KeyRing;
use store::DatabaseConfig;

/// Configuration of the service.
#[derive(Debug)]
pub struct GcalConfig {
    /// PostgreSQL: grants, consents, connections, channels.
    pub database: DatabaseConfig,
    /// `TOKEN_ENCRYPTION_KEYS`.
    pub ring: KeyRing,
    /// `GOOGLE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// `GOOGLE_CLIENT_SECRET`.
    pub client_secret: Option<SecretSource>,
    /// `GOOGLE_REDIRECT_URI`: this system's `/api/oauth/google/callback`, as registered with Google.
    pub redirect: Option<Url>,
    /// `GOOGLE_AUTH_URL`, `GOOGLE_TOKEN_URL`, `GOOGLE_REVOKE_URL`; tokeninfo stands beside the token endpoint.
    pub endpoints: Endpoints,
    /// `GOOGLE_CALENDAR_BASE_URL`, version included.
    pub calendar_base: Url,
    /// `GCAL_CONNECTOR_GRPC_ADDR` (127.0.0.1:50052).
    pub grpc_addr: SocketAddr,
    /// `WEBHOOK_BASE_URL`: where the provider reaches `webhook-ingress`.
    pub webhook_base: Option<Url>,
    /// `GOOGLE_PAGE_SIZE`: events a page, 1 to 2,500 (1,000).
    pub page_size: u32,
    /// `GOOGLE_MAX_CONCURRENT_CALLS`: calls in work at one time (64).
    pub max_calls: usize,
    /// `GOOGLE_THROTTLE_MAX_WAIT_SECONDS`: longer silences go back to the job (5).
    pub max_wait: Duration,
    /// `GOOGLE_PROJECT_REQUESTS_PER_MINUTE` (10,000; 0 = off), over all accounts.
    pub project_lane: LaneRules,
    /// `GOOGLE_USER_REQUESTS_PER_MINUTE` (600; 0 = off), for each account.
    pub user_lane: LaneRules,
    /// `GOOGLE_CALENDAR_REQUESTS_PER_MINUTE` (600; 0 = off), for each calendar.
    pub calendar_lane: LaneRules,
    /// `GOOGLE_QUOTA_PARK_SECONDS`: silence after `quotaExceeded` (7,200).
    pub quota_park: Duration,
    /// `GOOGLE_RETRY_MAX_ATTEMPTS`, `_INITIAL_MS`, `_MAX_MS`, `_MULTIPLIER` (4, 1 s, 15 s, 2).
    pub retry: RetryPolicy,
    /// `GOOGLE_BREAKER_FAILURES`, `_TIMEOUT_SECONDS`, `_RESET_SECONDS` (4, 90 s, 60 s).
    pub breaker: BreakerConfig,
    /// Cache and Redis: the fence that replicas share.
    pub cache: CacheConfig,
}

const AUTHORIZE: &str = "https://accounts.google.com/o/oauth2/v2/auth";
const TOKEN: &str = "https://oauth2.googleapis.com/token";
const REVOKE: &str = "https://oauth2.googleapis.com/revoke";
const CALENDAR: &str = "https://www.googleapis.com/calendar/v3";
/// Path of the API on Google's host, where an address names a host alone.
const CALENDAR_PATH: &str = "/calendar/v3";
/// Largest page (Events, Calendar v3).
const MAX_PAGE: u32 = 2_500;

impl FromEnv for GcalConfig {
    fn from_env(env: &mut Env) -> Self {
        let page_size = env.parse("GOOGLE_PAGE_SIZE", 1_000);
        if !(1..=MAX_PAGE).contains(&page_size) {
            env.fault("GOOGLE_PAGE_SIZE", format!("must be 1 to {MAX_PAGE}, got `{page_size}`"));
        }
        let max_calls = env.parse("GOOGLE_MAX_CONCURRENT_CALLS", 64);
        if max_calls == 0 {
            env.fault("GOOGLE_MAX_CONCURRENT_CALLS", "must be at least 1, got `0`");
        }
        let token = address(env, "GOOGLE_TOKEN_URL", TOKEN);
        let tokeninfo = beside(&token, "tokeninfo");
        let mut calendar_base = address(env, "GOOGLE_CALENDAR_BASE_URL", CALENDAR);
        if calendar_base.path() == "/" {
            calendar_base.set_path(CALENDAR_PATH);
        }
        Self {
            database: DatabaseConfig::from_env(env),
            ring: KeyRing::from_env(env),
            client_id: env.optional("GOOGLE_CLIENT_ID"),
            client_secret: env.secret("GOOGLE_CLIENT_SECRET"),
            redirect: optional_address(env, "GOOGLE_REDIRECT_URI"),
            endpoints: Endpoints {
                authorize: address(env, "GOOGLE_AUTH_URL", AUTHORIZE),
                token,
                revoke: address(env, "GOOGLE_REVOKE_URL", REVOKE),
                tokeninfo,
            },
            calendar_base,
            grpc_addr: env.parse("GCAL_CONNECTOR_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50_052))),
            webhook_base: optional_address(env, "WEBHOOK_BASE_URL"),
            page_size,
            max_calls: max_calls.max(1),
            max_wait: env.seconds("GOOGLE_THROTTLE_MAX_WAIT_SECONDS", 5),
            project_lane: lane(env, "GOOGLE_PROJECT_REQUESTS_PER_MINUTE", quota::PROJECT_PER_MINUTE),
            user_lane: lane(env, "GOOGLE_USER_REQUESTS_PER_MINUTE", quota::USER_PER_MINUTE),
            calendar_lane: lane(env, "GOOGLE_CALENDAR_REQUESTS_PER_MINUTE", quota::USER_PER_MINUTE),
            quota_park: env.seconds("GOOGLE_QUOTA_PARK_SECONDS", quota::ACCOUNT_REST.as_secs()),
            retry: retry(env),
            breaker: breaker(env),
            cache: CacheConfig::from_env(env),
        }
    }
}

fn optional_address(env: &mut Env, name: &str) -> Option<Url> {
    let text = env.optional(name)?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.has_host() => {
            Some(url)
        }
        _ => {
            env.fault(name, format!("must be an http or https address without a query, got `{text}`"));
            None
        }
    }
}

fn address(env: &mut Env, name: &str, default: &str) -> Url {
    optional_address(env, name).unwrap_or_else(|| Url::parse(default).expect("a constant that is an address"))
}

/// The address whose last segment is another one.
fn beside(url: &Url, name: &str) -> Url {
    let mut url = url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().pop().push(name);
    }
    url
}

/// Google counts over a sliding minute: what may come at once and what flows back in a minute stay below the limit
/// together.
fn lane(env: &mut Env, name: &str, default: u32) -> LaneRules {
    let limit: u32 = env.parse(name, default);
    let burst = (limit / 10).max(1).min(limit);
    LaneRules {
        units_per_minute: limit.saturating_sub(burst).max(u32::from(limit > 0)),
        burst,
        caution: Duration::from_secs(10),
        ..LaneRules::default()
    }
}

fn retry(env: &mut Env) -> RetryPolicy {
    let seed = RetryPolicy::ONEDRIVE;
    let mut millis = |name: &str, default: Duration| {
        Duration::from_millis(env.parse(name, u64::try_from(default.as_millis()).unwrap_or(u64::MAX)))
    };
    RetryPolicy {
        initial: millis("GOOGLE_RETRY_INITIAL_MS", seed.initial),
        max: millis("GOOGLE_RETRY_MAX_MS", seed.max),
        max_attempts: env.parse("GOOGLE_RETRY_MAX_ATTEMPTS", seed.max_attempts).max(1),
        multiplier: env.parse("GOOGLE_RETRY_MULTIPLIER", seed.multiplier),
    }
}

fn breaker(env: &mut Env) -> BreakerConfig {
    let seed = BreakerConfig::ONEDRIVE;
    BreakerConfig {
        failure_threshold: env.parse("GOOGLE_BREAKER_FAILURES", seed.failure_threshold).max(1),
        call_timeout: env.seconds("GOOGLE_BREAKER_TIMEOUT_SECONDS", seed.call_timeout.as_secs()),
        reset_timeout: env.seconds("GOOGLE_BREAKER_RESET_SECONDS", seed.reset_timeout.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (GcalConfig, Option<String>) {
        let database = ("DATABASE_URL", "postgres://app@127.0.0.1/x");
        let mut env = Env::from_pairs(pairs.iter().copied().chain([database]));
        let config = GcalConfig::from_env(&mut env);
        (config, env.finish().err().map(|faults| faults.to_string()))
    }

    #[test]
    fn defaults_are_googles() {
        let (config, faults) = read(&[]);
        assert_eq!(faults, None);
        assert_eq!(config.calendar_base.as_str(), CALENDAR);
        assert_eq!(config.endpoints.tokeninfo.as_str(), "https://oauth2.googleapis.com/tokeninfo");
        assert_eq!((config.user_lane.units_per_minute, config.user_lane.burst), (540, 60));
        assert!(config.ring.is_development());
        let (config, _) = read(&[("GOOGLE_CALENDAR_BASE_URL", "http://127.0.0.1:4020")]);
        assert_eq!(config.calendar_base.as_str(), "http://127.0.0.1:4020/calendar/v3");
        let (config, _) = read(&[("GOOGLE_USER_REQUESTS_PER_MINUTE", "0")]);
        assert_eq!((config.user_lane.units_per_minute, config.user_lane.burst), (0, 0), "switched off");
    }

    #[test]
    fn faults_are_named() {
        let pairs = [
            ("GOOGLE_PAGE_SIZE", "5000"),
            ("GOOGLE_TOKEN_URL", "token"),
            ("GOOGLE_REDIRECT_URI", "ftp://x"),
            ("TOKEN_ENCRYPTION_KEYS", "a:short"),
        ];
        let faults = read(&pairs).1.expect("four faults");
        for (name, _) in pairs {
            assert!(faults.contains(name), "{faults}");
        }
        let faults = read(&[("APP_ENV", "production"), ("CACHE_PROVIDER", "memory")]).1.expect("a fault");
        assert!(faults.contains("TOKEN_ENCRYPTION_KEYS"), "{faults}");
    }
}
