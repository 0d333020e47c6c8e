//! Configuration from the environment.

use std::net::SocketAddr;
use std::time::Duration;

use cache::CacheConfig;
use chassis::config::{Env, FromEnv, SecretSource};
use domain::breaker::BreakerConfig;
use domain::retry::RetryPolicy;
use graph_client::WorkflowHosts;
use outbound::Url;
use outbound::throttle::LaneRules;
use outbound::token::EntraConfig;

use crate::clients::Budgets;
use crate::settings;
use crate::subscription::SelfTestMode;

/// Configuration of the service.
#[derive(Debug, Clone)]
pub struct ConnectorConfig {
    /// `AZURE_*` and `MICROSOFT_LOGIN_BASE_URL`.
    pub entra: EntraConfig,
    /// `GRAPH_BASE_URL`, version included.
    pub graph_base: Url,
    /// `GRAPH_CONNECTOR_GRPC_ADDR` (127.0.0.1:50051).
    pub grpc_addr: SocketAddr,
    /// `WEBHOOK_BASE_URL`: where the provider reaches `webhook-ingress`.
    pub webhook_base: Option<Url>,
    /// `GRAPH_PAGE_SIZE`: items a page, 1 to 1,000 (200, the runbook's).
    pub page_size: u32,
    /// `GRAPH_MAX_CONCURRENT_CALLS`: calls in work at one time (32).
    pub max_calls: usize,
    /// `GRAPH_THROTTLE_MAX_WAIT_SECONDS`: longer silences go back to the job (5).
    pub max_wait: Duration,
    /// Budgets by workload: `GRAPH_BUDGET_UNITS_PER_MINUTE` (drives, 1,250; 0 = off), `GRAPH_MAILBOX_REQUESTS_PER_MINUTE`
    /// (900), `GRAPH_MAILBOX_MAX_CALLS` (4), `GRAPH_TEAMS_REQUESTS_PER_MINUTE` (900),
    /// `GRAPH_CHANNEL_REQUESTS_PER_MINUTE` (180) and `GRAPH_THROTTLE_CAUTION_SECONDS` (30).
    pub budgets: Budgets,
    /// `GRAPH_MAIL_PAGE_SIZE`: messages a page, 1 to 1,000 (50).
    pub mail_page_size: u32,
    /// `GRAPH_BODY_LIMIT_KIB`: longest body of a message that is kept (256).
    pub body_limit: usize,
    /// `TEAMS_WORKFLOW_URLS`, `name=address,...`: addresses of Teams workflows, which are secrets.
    pub workflow_urls: Option<SecretSource>,
    /// `TEAMS_WORKFLOW_HOSTS` and, for development, `TEAMS_WORKFLOW_BASE_URL`.
    pub workflow_hosts: WorkflowHosts,
    /// `WEBHOOK_SELF_TEST`: `advise` (default), `require` or `off`.
    pub self_test: SelfTestMode,
    /// `ONEDRIVE_RETRY_MAX_ATTEMPTS`, `_INITIAL_MS`, `_MAX_MS`, `_MULTIPLIER` (the runbook's 4, 1 s, 15 s, 2).
    pub retry: RetryPolicy,
    /// `ONEDRIVE_BREAKER_FAILURES`, `_TIMEOUT_SECONDS`, `_RESET_SECONDS` (the runbook's 4, 90 s, 60 s).
    pub breaker: BreakerConfig,
    /// Cache and Redis.
    pub cache: CacheConfig,
}

const GRAPH_BASE: &str = "https://graph.microsoft.com/v1.0";
/// The largest page that clients are known to ask for (provider facts A2).
const MAX_PAGE: u32 = 1_000;

impl FromEnv for ConnectorConfig {
    fn from_env(env: &mut Env) -> Self {
        let page_size = env.parse("GRAPH_PAGE_SIZE", 200);
        if !(1..=MAX_PAGE).contains(&page_size) {
            env.fault("GRAPH_PAGE_SIZE", format!("must be 1 to {MAX_PAGE}, got `{page_size}`"));
        }
        let max_calls = env.parse("GRAPH_MAX_CONCURRENT_CALLS", 32);
        if max_calls == 0 {
            env.fault("GRAPH_MAX_CONCURRENT_CALLS", "must be at least 1, got `0`");
        }
        let drives = lane(env);
        Self {
            entra: EntraConfig::from_env(env),
            graph_base: base_url(env, "GRAPH_BASE_URL", Some(GRAPH_BASE))
                .unwrap_or_else(|| Url::parse(GRAPH_BASE).expect("a constant that is an address")),
            grpc_addr: env.parse("GRAPH_CONNECTOR_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50_051))),
            webhook_base: base_url(env, "WEBHOOK_BASE_URL", None),
            page_size,
            max_calls: max_calls.max(1),
            max_wait: env.seconds("GRAPH_THROTTLE_MAX_WAIT_SECONDS", 5),
            budgets: settings::budgets(env, drives),
            mail_page_size: settings::mail_page_size(env),
            body_limit: settings::body_limit(env),
            workflow_urls: settings::workflow_urls(env),
            workflow_hosts: settings::workflow_hosts(env),
            self_test: env.parse("WEBHOOK_SELF_TEST", SelfTestMode::Advise),
            retry: retry(env),
            breaker: breaker(env),
            cache: CacheConfig::from_env(env),
        }
    }
}

pub(crate) fn base_url(env: &mut Env, name: &str, default: Option<&str>) -> Option<Url> {
    let text = env.optional(name).or_else(|| default.map(str::to_owned))?;
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

fn lane(env: &mut Env) -> LaneRules {
    let default = LaneRules::default();
    LaneRules {
        units_per_minute: env.parse("GRAPH_BUDGET_UNITS_PER_MINUTE", default.units_per_minute),
        caution: env.seconds("GRAPH_THROTTLE_CAUTION_SECONDS", default.caution.as_secs()),
        ..default
    }
}

fn retry(env: &mut Env) -> RetryPolicy {
    let seed = RetryPolicy::ONEDRIVE;
    let mut millis = |name: &str, default: Duration| {
        Duration::from_millis(env.parse(name, u64::try_from(default.as_millis()).unwrap_or(u64::MAX)))
    };
    RetryPolicy {
        initial: millis("ONEDRIVE_RETRY_INITIAL_MS", seed.initial),
        max: millis("ONEDRIVE_RETRY_MAX_MS", seed.max),
        max_attempts: env.parse("ONEDRIVE_RETRY_MAX_ATTEMPTS", seed.max_attempts).max(1),
        multiplier: env.parse("ONEDRIVE_RETRY_MULTIPLIER", seed.multiplier),
    }
}

fn breaker(env: &mut Env) -> BreakerConfig {
    let seed = BreakerConfig::ONEDRIVE;
    BreakerConfig {
        failure_threshold: env.parse("ONEDRIVE_BREAKER_FAILURES", seed.failure_threshold).max(1),
        call_timeout: env.seconds("ONEDRIVE_BREAKER_TIMEOUT_SECONDS", seed.call_timeout.as_secs()),
        reset_timeout: env.seconds("ONEDRIVE_BREAKER_RESET_SECONDS", seed.reset_timeout.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_figures_are_the_defaults() {
        let mut env = Env::from_pairs(Vec::<(String, String)>::new());
        let config = ConnectorConfig::from_env(&mut env);
        env.finish().expect("nothing is required");
        assert_eq!(config.retry, RetryPolicy::ONEDRIVE);
        assert_eq!(config.breaker, BreakerConfig::ONEDRIVE);
        assert_eq!((config.page_size, config.max_wait.as_secs()), (200, 5));
        assert_eq!(config.entra.missing(), ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]);
    }

    #[test]
    fn faults_are_named() {
        let pairs =
            [("GRAPH_PAGE_SIZE", "5000"), ("GRAPH_BASE_URL", "graph"), ("WEBHOOK_BASE_URL", "ftp://x")];
        let mut env = Env::from_pairs(pairs);
        ConnectorConfig::from_env(&mut env);
        let faults = env.finish().expect_err("three faults").to_string();
        for (name, _) in pairs {
            assert!(faults.contains(name), "{faults}");
        }
    }
}
