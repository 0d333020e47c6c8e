//! A Graph that answers from a closure.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::response::{IntoResponse, Response};
use chassis::config::SecretSource;
use chassis::lifecycle::Tasks;
use chassis::secret::Secret;
use chassis::time::SystemClock;
use domain::breaker::BreakerConfig;
use domain::retry::RetryPolicy;
use domain::time::SharedClock;
use graph_client::GraphClient;
use outbound::Url;
use outbound::http::HttpClient;
use outbound::provider::{ProviderClient, ProviderSettings, Reading, ServiceBreaker};
use outbound::throttle::{FenceKey, Gate, LaneRules, LayeredFence};
use outbound::token::{EntraConfig, EntraTokens};

pub struct Graph {
    pub client: GraphClient,
    pub base: String,
    /// Method and path with query of each call, tokens left out.
    pub seen: Arc<Mutex<Vec<String>>>,
    _tasks: Tasks,
}

/// What the scripted Graph is asked.
pub struct Asked {
    pub number: usize,
    pub line: String,
    pub base: String,
    pub body: String,
    /// The `Prefer` header.
    pub prefer: String,
}

impl Graph {
    pub async fn start(answer: impl Fn(Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let root = format!("http://{}", listener.local_addr().expect("an address"));
        let base = format!("{root}/v1.0");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let calls = Arc::new(AtomicUsize::new(0));
        let (log, own_base, answer) = (Arc::clone(&seen), base.clone(), Arc::new(answer));
        let app = Router::new().fallback(move |request: AxumRequest| {
            let (log, base, answer, calls) =
                (Arc::clone(&log), own_base.clone(), Arc::clone(&answer), Arc::clone(&calls));
            async move {
                if request.uri().path().ends_with("/token") {
                    return axum::Json(serde_json::json!({"access_token": "t", "expires_in": 3599}))
                        .into_response();
                }
                let line = format!("{} {}", request.method(), request.uri());
                log.lock().expect("lock").push(line.clone());
                let number = calls.fetch_add(1, Ordering::SeqCst);
                let prefer =
                    request.headers().get("prefer").and_then(|v| v.to_str().ok()).unwrap_or_default();
                let prefer = prefer.to_owned();
                let bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
                let body = String::from_utf8_lossy(&bytes).into_owned();
                answer(Asked { number, line, base, body, prefer })
            }
        });
        let tasks = Tasks::new();
        tasks.spawn("graph", async move { axum::serve(listener, app).await.expect("serving") });
        let client = client(&Url::parse(&root).expect("a url"), Url::parse(&base).expect("a url"));
        Self { client, base, seen, _tasks: tasks }
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("lock").clone()
    }
}

fn client(login: &Url, base: Url) -> GraphClient {
    let clock: SharedClock = Arc::new(SystemClock);
    let http = Arc::new(HttpClient::builder().deadline(Duration::from_secs(5)).build().expect("a client"));
    let config = EntraConfig {
        tenant: Some("contoso".into()),
        client_id: Some("app".into()),
        secret: Some(SecretSource::fixed(Secret::from("s"))),
        next_secret: None,
        secret_expires_at: None,
        login_base: login.clone(),
    };
    let tokens = Arc::new(EntraTokens::new(Arc::clone(&http), config, clock.clone()));
    let key = FenceKey { provider: "microsoft", tenant: "contoso".into(), workload: "drives" };
    let fence = Arc::new(LayeredFence::new(clock.clone(), None));
    let retry = RetryPolicy { initial: Duration::from_millis(5), ..RetryPolicy::ONEDRIVE };
    let provider = ProviderClient::new(
        http,
        tokens,
        Gate::new(fence, key, LaneRules::default(), Duration::from_secs(1)),
        ServiceBreaker::new("OneDrive", BreakerConfig::ONEDRIVE, clock.clone()),
        ProviderSettings { requests_metric: "graph_requests_total", retry, read: Reading::microsoft },
        clock,
    );
    GraphClient::new(Arc::new(provider), base)
}
