//! A client in front of a Calendar API that answers from a closure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::response::Response;
use chassis::lifecycle::Tasks;
use chassis::secret::Secret;
use chassis::time::SystemClock;
use domain::breaker::BreakerConfig;
use domain::retry::RetryPolicy;
use domain::time::SharedClock;
use gcal_client::{GcalClient, reading};
use outbound::Url;
use outbound::http::HttpClient;
use outbound::provider::{ProviderClient, ProviderSettings, ServiceBreaker};
use outbound::throttle::{FenceKey, Gate, LaneRules, LayeredFence};
use outbound::token::{TokenError, TokenSource};

/// What the stand-in is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Counted from 1.
    pub number: usize,
    /// Method, path below the base, query.
    pub line: String,
    pub if_match: Option<String>,
    pub bearer: String,
    pub body: String,
}

/// Tokens `t1`, `t2`, ...: a new one after each refusal.
#[derive(Debug, Default)]
struct Counted(Mutex<u32>);

#[async_trait::async_trait]
impl TokenSource for Counted {
    async fn bearer(&self) -> Result<Secret, TokenError> {
        Ok(Secret::from(format!("t{}", *self.0.lock().expect("lock") + 1)))
    }

    fn discard(&self, _: &Secret, _: Option<String>) {
        *self.0.lock().expect("lock") += 1;
    }
}

pub struct World {
    pub client: GcalClient,
    seen: Arc<Mutex<Vec<Asked>>>,
    _tasks: Tasks,
}

impl World {
    pub async fn start(answer: impl Fn(Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let root = format!("http://{}/calendar/v3", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = Router::new().fallback(move |request: AxumRequest| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let (request, body) = request.into_parts();
                let header = |name: &str| {
                    let value = request.headers.get(name)?;
                    Some(value.to_str().expect("text").to_owned())
                };
                let path = request.uri.to_string();
                let path = path.strip_prefix("/calendar/v3").unwrap_or(&path);
                let mut asked = Asked {
                    number: 0,
                    line: format!("{} {path}", request.method),
                    if_match: header("if-match"),
                    bearer: header("authorization").unwrap_or_default(),
                    body: String::new(),
                };
                let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
                asked.body = String::from_utf8_lossy(&bytes).into_owned();
                {
                    let mut log = log.lock().expect("lock");
                    asked.number = log.len() + 1;
                    log.push(asked.clone());
                }
                answer(asked)
            }
        });
        let tasks = Tasks::new();
        tasks.spawn("google", async move { axum::serve(listener, app).await.expect("serving") });
        Self { client: client(Url::parse(&root).expect("a url")), seen, _tasks: tasks }
    }

    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().expect("lock").clone()
    }
}

fn client(base: Url) -> GcalClient {
    let clock: SharedClock = Arc::new(SystemClock);
    let http = Arc::new(HttpClient::builder().deadline(Duration::from_secs(5)).build().expect("a client"));
    let key = FenceKey { provider: "google", tenant: "account".into(), workload: "user" };
    let fence = Arc::new(LayeredFence::new(clock.clone(), None));
    let retry = RetryPolicy { initial: Duration::from_millis(5), ..RetryPolicy::ONEDRIVE };
    let tokens: Arc<dyn TokenSource> = Arc::new(Counted::default());
    let provider = ProviderClient::new(
        http,
        tokens,
        Gate::new(fence, key, LaneRules::default(), Duration::from_secs(2)),
        ServiceBreaker::new("GoogleCalendar", BreakerConfig::ONEDRIVE, clock.clone()),
        ProviderSettings { requests_metric: "google_requests_total", retry, read: reading },
        clock,
    );
    GcalClient::new(Arc::new(provider), base)
}
