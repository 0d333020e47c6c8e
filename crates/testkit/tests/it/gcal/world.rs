//! Database, stand-in and connectors.

use std::sync::Arc;

use chassis::config::{Env, FromEnv};
use chassis::grpc::TracedChannel;
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::time::SystemClock;
use contracts::gcal::v1 as pb;
use contracts::gcal::v1::gcal_connector_client::GcalConnectorClient;
use domain::ids::CompanyId;
use gcal_connector::{Connector, GcalConfig};
use sha2::{Digest, Sha256};
use testkit::{TestDb, fresh_database};
use tonic::Status;

use super::google::Google;

pub const KEY_A: &str = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
pub const KEY_B: &str = "b:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";
/// The secret that the asking session holds.
pub const SESSION: &[u8] = b"session";

/// A connector, listening.
pub struct Replica {
    pub client: GcalConnectorClient<TracedChannel>,
    pub connector: Arc<Connector>,
    pub url: String,
    shutdown: Shutdown,
    _tasks: Tasks,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.shutdown.stop();
    }
}

impl Replica {
    /// A connector over a database, in front of whatever listens at `google`.
    pub async fn start(db: &TestDb, google: &str, more: &[(&str, &str)]) -> Self {
        let at = |path: &str| format!("{google}{path}");
        let (auth, token, revoke) = (at("/o/oauth2/v2/auth"), at("/token"), at("/revoke"));
        let mut pairs = vec![
            ("DATABASE_URL", db.app_url.as_str()),
            ("TOKEN_ENCRYPTION_KEYS", KEY_A),
            ("GOOGLE_CLIENT_ID", "client"),
            ("GOOGLE_CLIENT_SECRET", "the secret"),
            ("GOOGLE_REDIRECT_URI", "http://localhost/api/oauth/google/callback"),
            ("GOOGLE_AUTH_URL", auth.as_str()),
            ("GOOGLE_TOKEN_URL", token.as_str()),
            ("GOOGLE_REVOKE_URL", revoke.as_str()),
            ("GOOGLE_CALENDAR_BASE_URL", google),
            ("WEBHOOK_BASE_URL", "https://hooks.example/"),
            ("GOOGLE_RETRY_INITIAL_MS", "5"),
        ];
        pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        pairs.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let mut env = Env::from_pairs(pairs);
        let config = GcalConfig::from_env(&mut env);
        env.finish().expect("a configuration");
        let connector = Arc::new(Connector::assemble(config, Arc::new(SystemClock)).expect("a connector"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
        let (routes, stop) = (gcal_connector::routes(Arc::clone(&connector)), shutdown.clone());
        tasks.spawn("grpc", async move {
            chassis::grpc::serve(listener, routes, &stop).await.expect("serving");
        });
        let client = GcalConnectorClient::new(chassis::grpc::channel(&url).expect("a channel"));
        Self { client, connector, url, shutdown, _tasks: tasks }
    }
}

pub struct World {
    pub db: TestDb,
    pub company: CompanyId,
    pub google: Google,
    pub replica: Replica,
}

impl World {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(more: &[(&str, &str)]) -> Self {
        let db = fresh_database().await;
        let company = db.company().await;
        let google = Google::start().await;
        let replica = Replica::start(&db, &google.root, more).await;
        Self { db, company, google, replica }
    }

    pub async fn another(&self, more: &[(&str, &str)]) -> Replica {
        Replica::start(&self.db, &self.google.root, more).await
    }

    pub fn client(&self) -> GcalConnectorClient<TracedChannel> {
        self.replica.client.clone()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of every request's field")]
    pub fn context(&self) -> Option<pb::CallContext> {
        Some(pb::CallContext { company_id: self.company.to_string(), job_id: String::new() })
    }

    /// Begins a consent; the address to send the person to.
    pub async fn begin(&self, calendar_id: &str, sync_direction: &str) -> Result<String, Status> {
        let request = pb::BeginConsentRequest {
            context: self.context(),
            user_id: "anna".into(),
            session_sha256: Sha256::digest(SESSION).to_vec(),
            calendar_id: calendar_id.into(),
            sync_direction: sync_direction.into(),
            login_hint: String::new(),
        };
        Ok(self.client().begin_consent(request).await?.into_inner().authorization_url)
    }

    /// Ends a consent in the session that began it.
    pub async fn complete(&self, code: &str, state: &str) -> Result<pb::CompleteConsentReply, Status> {
        let request = pb::CompleteConsentRequest {
            state: state.into(),
            code: code.into(),
            session_sha256: Sha256::digest(SESSION).to_vec(),
            ..pb::CompleteConsentRequest::default()
        };
        Ok(self.client().complete_consent(request).await?.into_inner())
    }

    /// Connects the account's primary calendar; the connection's id.
    pub async fn connect(&self) -> String {
        let (code, state) = self.google.consent(&self.begin("", "").await.expect("an address"));
        self.complete(&code, &state).await.expect("a connection").connection_id
    }

    pub fn list(&self, connection: &str) -> pb::ListEventsRequest {
        pb::ListEventsRequest {
            context: self.context(),
            connection_id: connection.into(),
            ..pb::ListEventsRequest::default()
        }
    }

    pub fn insert(&self, connection: &str) -> pb::InsertEventRequest {
        pb::InsertEventRequest {
            context: self.context(),
            connection_id: connection.into(),
            json: br#"{"id":"abcde","summary":"x"}"#.to_vec(),
            ..pb::InsertEventRequest::default()
        }
    }

    pub fn patch(&self, connection: &str, etag: &str) -> pb::WriteEventRequest {
        pb::WriteEventRequest {
            context: self.context(),
            connection_id: connection.into(),
            event_id: "abcde".into(),
            json: br#"{"summary":"y"}"#.to_vec(),
            if_match: etag.into(),
            ..pb::WriteEventRequest::default()
        }
    }

    /// The one value that a query gives.
    pub async fn value(&self, query: &str) -> serde_json::Value {
        let rows = self.db.rows(query).await;
        let first = rows.first().and_then(|row| row.as_object()).and_then(|row| row.values().next());
        first.cloned().unwrap_or_else(|| panic!("{query} gave nothing"))
    }

    /// Makes the account's access token as old as it gets.
    pub async fn expire_token(&self) {
        self.db.execute("UPDATE calendar_accounts SET access_expires_at = now()").await;
    }
}
