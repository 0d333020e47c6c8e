//! A connector in process, over gRPC, in front of a Graph that answers from a closure.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request as AxumRequest;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use chassis::config::{Env, FromEnv};
use chassis::grpc::TracedChannel;
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::time::SystemClock;
use contracts::graph::v1::CallContext;
use contracts::graph::v1::graph_calendar_client::GraphCalendarClient;
use contracts::graph::v1::graph_connector_client::GraphConnectorClient;
use contracts::graph::v1::graph_mail_client::GraphMailClient;
use contracts::graph::v1::graph_subscriptions_client::GraphSubscriptionsClient;
use contracts::graph::v1::graph_teams_client::GraphTeamsClient;
use graph_connector::{Connector, ConnectorConfig};
use serde_json::Value;

/// What the scripted Graph is asked.
pub struct Asked {
    pub method: Method,
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Bytes,
    /// Path below the version, with query.
    pub path: String,
    pub body: Value,
    pub base: String,
}

pub struct World {
    pub client: GraphConnectorClient<TracedChannel>,
    pub calendar: GraphCalendarClient<TracedChannel>,
    pub mail: GraphMailClient<TracedChannel>,
    pub teams: GraphTeamsClient<TracedChannel>,
    pub subscriptions: GraphSubscriptionsClient<TracedChannel>,
    /// Method and path of each call to Graph, token requests left out.
    pub seen: Arc<Mutex<Vec<String>>>,
    shutdown: Shutdown,
    _tasks: Tasks,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.shutdown.stop();
    }
}

impl World {
    pub async fn start(
        more: &[(&str, &str)],
        answer: impl Fn(Asked) -> Response + Send + Sync + 'static,
    ) -> Self {
        let tasks = Tasks::new();
        let shutdown = Shutdown::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let root = serve_graph(&tasks, Arc::clone(&seen), answer).await;
        let base = format!("{root}/v1.0");
        let mut pairs = vec![
            ("AZURE_TENANT_ID", "contoso"),
            ("AZURE_CLIENT_ID", "app"),
            ("AZURE_CLIENT_SECRET", "s"),
            ("MICROSOFT_LOGIN_BASE_URL", root.as_str()),
            ("GRAPH_BASE_URL", base.as_str()),
            ("WEBHOOK_BASE_URL", "https://hooks.example/"),
            ("ONEDRIVE_RETRY_INITIAL_MS", "5"),
            ("WEBHOOK_SELF_TEST", "off"),
        ];
        pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        pairs.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let mut env = Env::from_pairs(pairs);
        let config = ConnectorConfig::from_env(&mut env);
        env.finish().expect("a configuration");
        let connector = Arc::new(Connector::assemble(&config, Arc::new(SystemClock)).expect("a connector"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let routes = graph_connector::routes(&connector);
        let stop = shutdown.clone();
        tasks.spawn("grpc", async move {
            chassis::grpc::serve(listener, routes, &stop).await.expect("serving");
        });
        let channel = chassis::grpc::channel(&url).expect("a channel");
        Self {
            client: GraphConnectorClient::new(channel.clone()),
            calendar: GraphCalendarClient::new(channel.clone()),
            mail: GraphMailClient::new(channel.clone()),
            teams: GraphTeamsClient::new(channel.clone()),
            subscriptions: GraphSubscriptionsClient::new(channel),
            seen,
            shutdown,
            _tasks: tasks,
        }
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("lock").clone()
    }
}

async fn serve_graph(
    tasks: &Tasks,
    seen: Arc<Mutex<Vec<String>>>,
    answer: impl Fn(Asked) -> Response + Send + Sync + 'static,
) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let root = format!("http://{}", listener.local_addr().expect("an address"));
    let (own, answer) = (format!("{root}/v1.0"), Arc::new(answer));
    let app = Router::new().fallback(move |request: AxumRequest| {
        let (seen, base, answer) = (Arc::clone(&seen), own.clone(), Arc::clone(&answer));
        async move {
            let method = request.method().clone();
            let path = request.uri().to_string();
            if path.ends_with("/token") {
                return axum::Json(serde_json::json!({"access_token": "t", "expires_in": 3599}))
                    .into_response();
            }
            let path = path.strip_prefix("/v1.0").unwrap_or(&path).to_owned();
            let plain = path.split('?').next().unwrap_or_default();
            seen.lock().expect("lock").push(format!("{method} {plain}"));
            let headers = request.headers().clone();
            let bytes = axum::body::to_bytes(request.into_body(), 1 << 23).await.expect("a body");
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            answer(Asked { method, headers, bytes, path, body, base })
        }
    });
    tasks.spawn("graph", async move { axum::serve(listener, app).await.expect("serving") });
    root
}

pub fn context(scope: &str, bypass: bool) -> CallContext {
    CallContext { cache_scope: scope.into(), bypass_cache: bypass, ..CallContext::default() }
}

pub fn ok(body: Value) -> Response {
    axum::Json(body).into_response()
}
