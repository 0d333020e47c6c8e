//! Clients of Google, one for each connection; the token of an account and the budgets are shared between them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::secret::Secret;
use domain::ids::CompanyId;
use domain::retry::RetryPolicy;
use domain::time::SharedClock;
use gcal_client::{GcalClient, reading};
use outbound::Url;
use outbound::http::HttpClient;
use outbound::provider::{ProviderClient, ProviderSettings, ServiceBreaker};
use outbound::throttle::{FenceKey, Gate, LaneRules, LayeredFence};
use outbound::token::TokenSource;
use uuid::Uuid;

use crate::tokens::{AccountTokens, Fresh, Mint};

/// Clients that are kept; more of them are made anew at need.
const KEPT: usize = 4_096;
const PROVIDER: &str = "google";

/// Budgets of Google (provider facts A7).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budgets {
    pub user: LaneRules,
    pub calendar: LaneRules,
}

/// Makes and keeps clients.
#[derive(Debug)]
pub(crate) struct Clients {
    pub http: Arc<HttpClient>,
    pub mint: Mint,
    pub base: Url,
    pub fence: Arc<LayeredFence>,
    pub project: Arc<Gate>,
    pub breaker: Arc<ServiceBreaker>,
    pub budgets: Budgets,
    pub max_wait: Duration,
    pub retry: RetryPolicy,
    pub clock: SharedClock,
    pub kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    tokens: HashMap<Uuid, Arc<AccountTokens>>,
    clients: HashMap<(Uuid, Uuid), GcalClient>,
}

impl Clients {
    /// The project's budget, which all accounts share.
    pub fn project_gate(
        fence: &Arc<LayeredFence>,
        client_id: &str,
        rules: LaneRules,
        max_wait: Duration,
    ) -> Arc<Gate> {
        let key = FenceKey { provider: PROVIDER, tenant: client_id.to_owned(), workload: "project" };
        Arc::new(Gate::new(Arc::clone(fence), key, rules, max_wait))
    }

    /// The client of a connection.
    pub fn of(&self, company: CompanyId, account: Uuid, connection: Uuid) -> GcalClient {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = kept.clients.get(&(account, connection)) {
            return client.clone();
        }
        if kept.clients.len() >= KEPT {
            *kept = Kept::default();
        }
        let tokens = kept
            .tokens
            .entry(account)
            .or_insert_with(|| Arc::new(AccountTokens::new(self.mint.clone(), company, account)));
        let tokens: Arc<dyn TokenSource> = Arc::<AccountTokens>::clone(tokens);
        let calendar = self.gate(connection.to_string(), "calendar", self.budgets.calendar);
        let client = self.client(tokens, &account.to_string(), vec![Arc::new(calendar)]);
        kept.clients.insert((account, connection), client.clone());
        client
    }

    /// A client with a token whose grant is not stored yet.
    pub fn fresh(&self, token: Secret) -> GcalClient {
        self.client(Arc::new(Fresh(token)), "consent", Vec::new())
    }

    fn gate(&self, tenant: String, workload: &'static str, rules: LaneRules) -> Gate {
        let key = FenceKey { provider: PROVIDER, tenant, workload };
        Gate::new(Arc::clone(&self.fence), key, rules, self.max_wait)
    }

    fn client(&self, tokens: Arc<dyn TokenSource>, account: &str, mut outer: Vec<Arc<Gate>>) -> GcalClient {
        outer.push(Arc::clone(&self.project));
        let provider = ProviderClient::new(
            Arc::clone(&self.http),
            tokens,
            self.gate(account.to_owned(), "user", self.budgets.user),
            Arc::clone(&self.breaker),
            ProviderSettings { requests_metric: "google_requests_total", retry: self.retry, read: reading },
            self.clock.clone(),
        );
        GcalClient::new(Arc::new(provider.behind(outer)), self.base.clone())
    }
}
