//! A provider that answers from a script, and a client with short delays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request as AxumRequest;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use chassis::config::SecretSource;
use chassis::lifecycle::Tasks;
use chassis::secret::Secret;
use chassis::time::SystemClock;
use domain::breaker::BreakerConfig;
use domain::retry::RetryPolicy;
use domain::time::SharedClock;
use outbound::Url;
use outbound::http::HttpClient;
use outbound::provider::{ProviderClient, ProviderSettings, Reading, ServiceBreaker};
use outbound::throttle::{FenceKey, FenceStore, Gate, LaneRules, LayeredFence};
use outbound::token::{EntraConfig, EntraTokens};

/// One request as the server saw it.
pub struct Seen {
    /// Running number, from zero.
    pub number: usize,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    pub fn field(&self, name: &str) -> String {
        let fields = url_fields(&self.body);
        fields.into_iter().find(|(n, _)| n == name).map(|(_, v)| v).unwrap_or_default()
    }
}

fn url_fields(body: &[u8]) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(body))).expect("a form");
    url.query_pairs().into_owned().collect()
}

pub struct Provider {
    pub base: Url,
    pub calls: Arc<AtomicUsize>,
    _tasks: Tasks,
}

impl Provider {
    /// Serves `answer` on a port of its own.
    pub async fn start(answer: impl Fn(Seen) -> Response + Send + Sync + 'static) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(answer);
        let counter = Arc::clone(&calls);
        let app = Router::new().fallback(move |request: AxumRequest| {
            let (answer, counter) = (Arc::clone(&answer), Arc::clone(&counter));
            async move {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.expect("a request body");
                answer(Seen { number, path: parts.uri.to_string(), headers: parts.headers, body })
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base =
            Url::parse(&format!("http://{}", listener.local_addr().expect("an address"))).expect("a url");
        let tasks = Tasks::new();
        tasks.spawn("provider", async move { axum::serve(listener, app).await.expect("serving") });
        Self { base, calls, _tasks: tasks }
    }

    pub fn count(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("a url")
    }
}

pub fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

pub fn entra(base: &Url, secret: &str, next: Option<&str>) -> EntraConfig {
    let source = |s: &str| SecretSource::fixed(Secret::from(s));
    EntraConfig {
        tenant: Some("contoso".into()),
        client_id: Some("app".into()),
        secret: Some(source(secret)),
        next_secret: next.map(source),
        secret_expires_at: None,
        login_base: base.clone(),
    }
}

pub fn http() -> Arc<HttpClient> {
    let client = HttpClient::builder().deadline(Duration::from_secs(5)).body_limit(1024).build();
    Arc::new(client.expect("a client"))
}

pub const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 4,
    initial: Duration::from_millis(20),
    max: Duration::from_millis(100),
    multiplier: 2,
};

/// A client of `provider`, which also answers for tokens.
pub fn client(
    provider: &Provider,
    shared: Option<Arc<dyn FenceStore>>,
    max_wait: Duration,
) -> ProviderClient {
    let http = http();
    let tokens = EntraTokens::new(Arc::clone(&http), entra(&provider.base, "s", None), clock());
    let key = FenceKey { provider: "microsoft", tenant: "contoso".into(), workload: "drives" };
    let fence = Arc::new(LayeredFence::new(clock(), shared));
    let breaker = BreakerConfig { call_timeout: Duration::from_secs(2), ..BreakerConfig::ONEDRIVE };
    ProviderClient::new(
        http,
        Arc::new(tokens),
        Gate::new(fence, key, LaneRules::default(), max_wait),
        ServiceBreaker::new("OneDrive", breaker, clock()),
        ProviderSettings { requests_metric: "graph_requests_total", retry: RETRY, read: Reading::microsoft },
        clock(),
    )
}

/// A client with these tokens, unlimited.
pub fn client_with(tokens: Arc<EntraTokens>) -> ProviderClient {
    let key = FenceKey { provider: "microsoft", tenant: "contoso".into(), workload: "drives" };
    let fence = Arc::new(LayeredFence::new(clock(), None));
    let rules = LaneRules { units_per_minute: 0, ..LaneRules::default() };
    ProviderClient::new(
        http(),
        tokens,
        Gate::new(fence, key, rules, Duration::from_secs(1)),
        ServiceBreaker::new("OneDrive", BreakerConfig::ONEDRIVE, clock()),
        ProviderSettings { requests_metric: "graph_requests_total", retry: RETRY, read: Reading::microsoft },
        clock(),
    )
}

pub fn is_token(seen: &Seen) -> bool {
    seen.path.ends_with("/oauth2/v2.0/token")
}

pub fn token(value: &str) -> Response {
    axum::Json(serde_json::json!({"access_token": value, "expires_in": 3599, "token_type": "Bearer"}))
        .into_response()
}

/// Answers of the API in turn (the last one for ever); tokens are granted.
pub fn script(
    answers: Vec<Box<dyn Fn() -> Response + Send + Sync>>,
) -> impl Fn(Seen) -> Response + Send + Sync {
    let next = Mutex::new(0);
    move |seen| {
        if is_token(&seen) {
            return token("t");
        }
        let mut next = next.lock().expect("lock");
        let index = (*next).min(answers.len() - 1);
        *next += 1;
        answers[index]()
    }
}

/// A status with headers and an empty body.
pub fn status(
    code: u16,
    headers: &'static [(&'static str, &'static str)],
) -> Box<dyn Fn() -> Response + Send + Sync> {
    Box::new(move || {
        let mut response = Response::builder().status(code);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Body::empty()).expect("a response")
    })
}
