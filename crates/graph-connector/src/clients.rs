//! Clients of Graph: one for each workload, mailbox, channel and chat, over one token, with the budgets that Microsoft
//! counts separately (provider facts A3, A5, A6, A8).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::graph::v1::CallContext;
use domain::breaker::BreakerConfig;
use domain::retry::RetryPolicy;
use domain::throttle::Priority;
use domain::time::SharedClock;
use graph_client::{GraphClient, TeamsPlace};
use outbound::Url;
use outbound::http::HttpClient;
use outbound::provider::{ProviderClient, ProviderSettings, Reading, ServiceBreaker};
use outbound::throttle::{FenceKey, Gate, LaneRules, LayeredFence};
use outbound::token::EntraTokens;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places that are kept; at more of them all are made anew.
const KEPT: usize = 4_096;
const PROVIDER: &str = "microsoft";

/// Budgets by workload.
#[derive(Debug, Clone, Copy)]
pub struct Budgets {
    /// Resource units of drives.
    pub drives: LaneRules,
    /// Requests to one mailbox.
    pub mailbox: LaneRules,
    /// Calls to one mailbox at a time.
    pub mailbox_calls: usize,
    /// Requests to Teams altogether.
    pub teams: LaneRules,
    /// Requests to one channel or chat.
    pub teams_place: LaneRules,
    /// Requests about subscriptions.
    pub subscriptions: LaneRules,
    /// Cards to one workflow.
    pub workflow: LaneRules,
}

/// What every client is made of.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub http: Arc<HttpClient>,
    pub tokens: Arc<EntraTokens>,
    pub base: Url,
    pub fence: Arc<LayeredFence>,
    pub budgets: Budgets,
    pub max_wait: Duration,
    pub retry: RetryPolicy,
    pub breaker: BreakerConfig,
    pub clock: SharedClock,
}

/// A place with limits of its own.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub client: GraphClient,
    turns: Arc<Semaphore>,
}

impl Place {
    /// Waits for one of the place's turns.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }
}

/// A workload whose places share a budget and a breaker.
#[derive(Debug)]
struct Workload {
    gate: Arc<Gate>,
    breaker: Arc<ServiceBreaker>,
}

/// Makes and keeps clients.
#[derive(Debug)]
pub(crate) struct Clients {
    parts: Parts,
    mail: Workload,
    teams: Workload,
    places: Mutex<HashMap<String, Place>>,
    /// Drives.
    pub drives: GraphClient,
    /// Subscriptions.
    pub subscriptions: GraphClient,
}

/// Whether the caller waits for the answer.
pub(crate) fn priority(context: Option<&CallContext>) -> Priority {
    if context.is_some_and(|c| c.interactive) { Priority::Interactive } else { Priority::Background }
}

impl Clients {
    pub fn new(parts: Parts) -> Self {
        let budgets = parts.budgets;
        let own = |name, workload, rules| {
            let breaker = Arc::new(ServiceBreaker::new(name, parts.breaker, parts.clock.clone()));
            parts.client(parts.gate(parts.tokens.account(), workload, rules), breaker, Vec::new(), false)
        };
        let shared = |name, workload, rules| Workload {
            gate: Arc::new(parts.gate(parts.tokens.account(), workload, rules)),
            breaker: Arc::new(ServiceBreaker::new(name, parts.breaker, parts.clock.clone())),
        };
        // Outlook counts by mailbox; the workload's gate only keeps a silence that is meant for all of them.
        let unlimited = LaneRules { units_per_minute: 0, ..budgets.mailbox };
        Self {
            drives: own("OneDrive", "drives", budgets.drives),
            subscriptions: own("GraphSubscriptions", "subscriptions", budgets.subscriptions),
            mail: shared("Outlook", "mail", unlimited),
            teams: shared("Teams", "teams", budgets.teams),
            places: Mutex::new(HashMap::new()),
            parts,
        }
    }

    /// A mailbox. A silence that it asks for is its own, unless the answer names a wider scope.
    pub fn mailbox(&self, user: &str) -> Place {
        let budgets = self.parts.budgets;
        self.place(format!("mailbox:{}", user.to_ascii_lowercase()), budgets.mailbox_calls, |key| {
            let gate = self.parts.gate(key, "mailbox", budgets.mailbox);
            let outer = vec![Arc::clone(&self.mail.gate)];
            self.parts.client(gate, Arc::clone(&self.mail.breaker), outer, false)
        })
    }

    /// A channel or chat. A silence is everybody's: Teams does not say whom it means.
    pub fn teams_place(&self, place: &TeamsPlace) -> Place {
        let name = match place {
            TeamsPlace::Channel { team, channel } => format!("channel:{team}/{channel}"),
            TeamsPlace::Chat(chat) => format!("chat:{chat}"),
        };
        let budgets = self.parts.budgets;
        self.place(name, Semaphore::MAX_PERMITS, |key| {
            let gate = self.parts.gate(key, "teams_place", budgets.teams_place);
            let outer = vec![Arc::clone(&self.teams.gate)];
            self.parts.client(gate, Arc::clone(&self.teams.breaker), outer, true)
        })
    }

    /// Teams without a place: lists of teams, channels and chats.
    pub fn teams(&self) -> Place {
        let budgets = self.parts.budgets;
        self.place("teams".to_owned(), Semaphore::MAX_PERMITS, |_| {
            let gate = self.parts.gate(self.parts.tokens.account(), "teams", budgets.teams);
            self.parts.client(gate, Arc::clone(&self.teams.breaker), Vec::new(), false)
        })
    }

    /// A workflow, by name: it is not Graph, and has a breaker that nothing else shares.
    pub fn workflow(&self, name: &str) -> Place {
        let budgets = self.parts.budgets;
        self.place(format!("workflow:{name}"), Semaphore::MAX_PERMITS, |key| {
            let breaker = ServiceBreaker::new("TeamsWorkflows", self.parts.breaker, self.parts.clock.clone());
            let gate = self.parts.gate(key, "workflow", budgets.workflow);
            self.parts.client(gate, Arc::new(breaker), Vec::new(), false)
        })
    }

    fn place(&self, name: String, turns: usize, make: impl FnOnce(String) -> GraphClient) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&name) {
            return place.clone();
        }
        if places.len() >= KEPT {
            // Calls under way keep theirs.
            places.clear();
        }
        let client = make(format!("{}/{name}", self.parts.tokens.account()));
        let place = Place { client, turns: Arc::new(Semaphore::new(turns)) };
        places.insert(name, place.clone());
        place
    }
}

impl Parts {
    fn gate(&self, tenant: String, workload: &'static str, rules: LaneRules) -> Gate {
        let key = FenceKey { provider: PROVIDER, tenant, workload };
        Gate::new(Arc::clone(&self.fence), key, rules, self.max_wait)
    }

    fn client(
        &self,
        gate: Gate,
        breaker: Arc<ServiceBreaker>,
        outer: Vec<Arc<Gate>>,
        silence_all: bool,
    ) -> GraphClient {
        let settings = ProviderSettings {
            requests_metric: "graph_requests_total",
            retry: self.retry,
            read: Reading::microsoft,
        };
        let (http, tokens) = (Arc::clone(&self.http), Arc::clone(&self.tokens));
        let mut provider = ProviderClient::new(http, tokens, gate, breaker, settings, self.clock.clone());
        if silence_all {
            provider = provider.silencing_all();
        }
        GraphClient::new(Arc::new(provider.behind(outer)), self.base.clone())
    }
}
