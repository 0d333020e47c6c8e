//! Every service and the stand-in for Microsoft, as processes over a fresh database.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use broker::BrokerConfig;
use outbound::http::HttpClient;
use serde_json::{Value, json};

use super::caller::{Caller, http};
use super::patience::wait_until;
use super::ports::Ports;
use super::process::{Launch, Process};
use super::sql::Sql;
use crate::db::TestDb;
use crate::rig::broker_config;
use crate::servers::{amqp_url, postgres_url, unique};

/// Secret of the tokens that the platform under test accepts.
pub const JWT_SECRET: &str = "a secret of the end-to-end tests, good for nothing else";
/// Tenant and application that the stand-in knows.
pub const AZURE_TENANT: &str = "11111111-2222-4333-8444-555555555555";
/// The application.
pub const AZURE_CLIENT: &str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
/// Its secret.
pub const AZURE_SECRET: &str = "e2e-secret";

/// Application that the stand-in's Google side knows.
pub const GOOGLE_CLIENT: &str = "e2e.apps.googleusercontent.com";
/// Its secret.
pub const GOOGLE_SECRET: &str = "e2e-google-secret";
/// The account whose consent is asked for.
pub const GOOGLE_ACCOUNT: &str = "planner@example.com";

/// Longest start of a service.
const START: Duration = Duration::from_mins(1);

/// How a platform is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Replicas of `sync-worker`.
    pub workers: usize,
    /// Replicas of `graph-connector`; the workers take turns at them.
    pub connectors: usize,
    /// Variables for every service, over the defaults of the tests.
    pub env: BTreeMap<String, String>,
    /// Arguments for the stand-in, such as `--folder-drive`.
    pub emulator: Vec<String>,
    /// Starts `gcal-connector`, over the stand-in's Google side, whose consent page says yes.
    pub google: bool,
    /// Starts `audit-retention`, with archives in the folder of the logs.
    pub audit: bool,
    /// Superuser URL of PostgreSQL.
    pub postgres: String,
    /// URL of RabbitMQ.
    pub amqp: String,
}

impl Default for Options {
    /// One worker over the servers of `make test`; short waits, small pages, no budget.
    fn default() -> Self {
        Self {
            workers: 1,
            connectors: 1,
            env: BTreeMap::new(),
            emulator: Vec::new(),
            google: false,
            audit: false,
            postgres: postgres_url(),
            amqp: amqp_url(),
        }
    }
}

impl Options {
    /// Sets a variable for every service.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// With Google Calendar.
    #[must_use]
    pub fn google(mut self) -> Self {
        self.google = true;
        self
    }

    /// With the sealing of the audit trail.
    #[must_use]
    pub fn audit(mut self) -> Self {
        self.audit = true;
        self
    }

    /// Adds a drive over a real directory.
    #[must_use]
    pub fn folder_drive(mut self, id: &str, directory: &std::path::Path) -> Self {
        self.emulator.extend(["--folder-drive".to_owned(), format!("{id}={}", directory.display())]);
        self
    }
}

/// A running platform. Dropping it ends every process.
#[derive(Debug)]
pub struct Platform {
    /// Processes by label: `emulator`, `graph-connector`, `scheduler`, `sync-worker-1`, `webhook-ingress`, `api`.
    pub processes: BTreeMap<String, Process>,
    /// The database, past row-level security.
    pub sql: Sql,
    /// Control side of the stand-in.
    pub control: Caller,
    /// Graph of the stand-in, with a token.
    pub graph: Caller,
    /// REST without a token.
    pub public: Caller,
    /// Base URL of the API.
    pub api_url: String,
    /// Base URL of Graph at the stand-in.
    pub graph_url: String,
    /// Base URL of the webhook door.
    pub webhook_url: String,
    /// Base URL of the stand-in's Google side.
    pub google_url: String,
    /// Client for plain calls.
    pub http: Arc<HttpClient>,
    /// Folder with the logs.
    pub folder: PathBuf,
    broker: BrokerConfig,
    db: TestDb,
    _ports: Ports,
}

/// Speeds everything up; no behaviour is switched off.
fn fast() -> BTreeMap<String, String> {
    [
        ("APP_ENV", "development"),
        ("LOG_FORMAT", "json"),
        ("LOG_LEVEL", "info"),
        ("CACHE_PROVIDER", "memory"),
        ("LEASE_SECONDS", "6"),
        ("LOST_BELL_SECONDS", "3"),
        ("SHUTDOWN_GRACE_SECONDS", "5"),
        // Sweeps are started by the tests that want one.
        ("ONEDRIVE_SYNC_ENABLED", "false"),
        ("SYNC_INTERVAL_MINUTES", "1440"),
        ("GRAPH_PAGE_SIZE", "25"),
        ("GRAPH_BUDGET_UNITS_PER_MINUTE", "0"),
        ("ONEDRIVE_RETRY_INITIAL_MS", "50"),
        ("ONEDRIVE_RETRY_MAX_MS", "500"),
        ("ONEDRIVE_BREAKER_RESET_SECONDS", "1"),
        ("ONEDRIVE_BREAKER_TIMEOUT_SECONDS", "10"),
        ("RATE_LIMIT_PER_MINUTE", "100000"),
        ("JWT_SECRET", JWT_SECRET),
        ("AZURE_TENANT_ID", AZURE_TENANT),
        ("AZURE_CLIENT_ID", AZURE_CLIENT),
        ("AZURE_CLIENT_SECRET", AZURE_SECRET),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

impl Platform {
    /// Starts everything and waits until each process is ready.
    ///
    /// # Errors
    /// When a program is not built or does not become ready; with the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        let name = unique();
        let folder = std::env::temp_dir().join(format!("syncline-e2e-{name}"));
        std::fs::create_dir_all(&folder).context("creating the log folder")?;
        let db = TestDb::create_at(options.postgres.clone()).await.context("making a database")?;
        let broker = broker_config(&options.amqp);
        let mut ports = Ports::take()?;
        let mut address = || ports.address();
        let (microsoft, google, control) = (address()?, address()?, address()?);
        let (api, webhook) = (address()?, address()?);

        let mut env = fast();
        env.extend([
            ("DATABASE_URL".to_owned(), db.app_url.clone()),
            ("AMQP_URL".to_owned(), options.amqp.clone()),
            ("AMQP_PREFIX".to_owned(), broker.prefix.clone()),
            ("MICROSOFT_LOGIN_BASE_URL".to_owned(), format!("http://{microsoft}")),
            ("GRAPH_BASE_URL".to_owned(), format!("http://{microsoft}/v1.0")),
            ("WEBHOOK_BASE_URL".to_owned(), format!("http://{webhook}")),
            ("WEBHOOK_INGRESS_HTTP_ADDR".to_owned(), webhook.to_string()),
            ("API_HTTP_ADDR".to_owned(), api.to_string()),
            ("GOOGLE_CLIENT_ID".to_owned(), GOOGLE_CLIENT.to_owned()),
            ("GOOGLE_CLIENT_SECRET".to_owned(), GOOGLE_SECRET.to_owned()),
            ("GOOGLE_REDIRECT_URI".to_owned(), format!("http://{api}/api/oauth/google/callback")),
            ("GOOGLE_AUTH_URL".to_owned(), format!("http://{google}/o/oauth2/v2/auth")),
            ("GOOGLE_TOKEN_URL".to_owned(), format!("http://{google}/token")),
            ("GOOGLE_REVOKE_URL".to_owned(), format!("http://{google}/revoke")),
            ("GOOGLE_CALENDAR_BASE_URL".to_owned(), format!("http://{google}/calendar/v3")),
        ]);
        env.extend(folders(&folder));
        env.extend(options.env.clone());

        let addresses = [microsoft, google, control].map(|address| address.to_string());
        let mut launches = vec![stand_in(&options, &folder, &addresses)];
        let gcal = address()?;
        env.insert("GCAL_CONNECTOR_URL".to_owned(), format!("http://{gcal}"));
        env.insert("GCAL_CONNECTOR_GRPC_ADDR".to_owned(), gcal.to_string());
        let connectors: Vec<_> = (0..options.connectors.max(1)).map(|_| address()).collect::<Result<_>>()?;
        let mut service = |program: &str, label: String, connector: usize| -> Result<Launch> {
            let admin = address()?;
            let grpc = connectors[connector % connectors.len()];
            let mut env = env.clone();
            env.insert("GRAPH_CONNECTOR_URL".to_owned(), format!("http://{grpc}"));
            env.insert("GRAPH_CONNECTOR_GRPC_ADDR".to_owned(), grpc.to_string());
            env.insert(format!("{}_ADMIN_ADDR", program.to_uppercase().replace('-', "_")), admin.to_string());
            Ok(Launch {
                program: program.to_owned(),
                label,
                args: Vec::new(),
                env,
                ready: Some(format!("http://{admin}/readyz")),
                logs: folder.clone(),
            })
        };
        for program in ["graph-connector", "scheduler", "webhook-ingress", "api"] {
            launches.push(service(program, program.to_owned(), 0)?);
        }
        if options.google {
            launches.push(service("gcal-connector", "gcal-connector".to_owned(), 0)?);
        }
        if options.audit {
            launches.push(service("audit-retention", "audit-retention".to_owned(), 0)?);
        }
        for n in 1..options.connectors {
            launches.push(service("graph-connector", format!("graph-connector-{}", n + 1), n)?);
        }
        for n in 0..options.workers {
            launches.push(service("sync-worker", format!("sync-worker-{}", n + 1), n)?);
        }

        let http = http()?;
        let control = Caller::new(http.clone(), &format!("http://{control}"), None)?;
        let api_url = format!("http://{api}");
        let mut platform = Self {
            processes: launches
                .into_iter()
                .map(|launch| (launch.label.clone(), Process::new(launch)))
                .collect(),
            sql: Sql::new(db.owner_url.clone()),
            graph: control.clone(),
            public: Caller::new(http.clone(), &api_url, None)?,
            control,
            api_url,
            graph_url: format!("http://{microsoft}/v1.0"),
            webhook_url: format!("http://{webhook}"),
            google_url: format!("http://{google}"),
            http,
            folder,
            broker,
            db,
            _ports: ports,
        };
        for process in platform.processes.values_mut() {
            process.start()?;
        }
        for process in platform.processes.values_mut() {
            process.ready(&platform.http, START).await?;
        }
        let token = platform.graph_token().await?;
        platform.graph = Caller::new(platform.http.clone(), &platform.graph_url, Some(token))?;
        Ok(platform)
    }

    async fn graph_token(&self) -> Result<chassis::secret::Secret> {
        let grant =
            self.control.post("/tokens", &json!({"provider": "microsoft", "account": AZURE_CLIENT})).await?;
        let token = grant["access_token"].as_str().context("a grant without a token")?;
        Ok(token.to_owned().into())
    }

    /// A process by its label.
    ///
    /// # Errors
    /// When there is none.
    pub fn process(&mut self, label: &str) -> Result<&mut Process> {
        self.processes.get_mut(label).with_context(|| format!("no process {label}"))
    }

    /// SIGKILL, then starts it again; does not wait until it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn crash(&mut self, label: &str) -> Result<()> {
        let process = self.process(label)?;
        process.kill().await?;
        process.start()
    }

    /// Starts again what has ended by itself; waits until all is ready.
    ///
    /// # Errors
    /// When something does not become ready.
    pub async fn revive(&mut self) -> Result<()> {
        for process in self.processes.values_mut() {
            if process.pid().is_none() || process.exited()?.is_some() {
                process.kill().await?;
                process.start()?;
            }
            process.ready(&self.http, START).await?;
        }
        Ok(())
    }

    /// Arms a fault of the stand-in; `path` is a regular expression.
    ///
    /// # Errors
    /// When the stand-in refuses it.
    pub async fn fault(&self, path: &str, times: Option<u64>, fault: Value) -> Result<()> {
        self.fault_after(path, 0, times, fault).await
    }

    /// As [`Platform::fault`], after `after` calls that pass.
    ///
    /// # Errors
    /// When the stand-in refuses it.
    pub async fn fault_after(&self, path: &str, after: u64, times: Option<u64>, fault: Value) -> Result<()> {
        let spec =
            json!({"provider": "microsoft", "path": path, "after": after, "times": times, "fault": fault});
        self.control.post("/faults", &spec).await.map(drop)
    }

    /// Calls of Graph that the stand-in saw after number `since`; and the number of the last.
    ///
    /// # Errors
    /// When the stand-in does not answer.
    pub async fn calls(&self, since: i64) -> Result<(Vec<Value>, i64)> {
        let mut answer = self.control.get(&format!("/calls?since={since}&provider=microsoft")).await?;
        let last = answer["last"].as_i64().unwrap_or_default();
        match answer["items"].take() {
            Value::Array(calls) => Ok((calls, last)),
            other => bail!("calls: {other}"),
        }
    }

    /// Waits until no job is under way that `condition` names, and no bell waits to be rung.
    ///
    /// # Errors
    /// When jobs are left after `limit`, with what holds them.
    pub async fn quiet_where(&self, condition: &str, limit: Duration) -> Result<()> {
        let under_way = format!(
            "SELECT (SELECT count(*) FROM jobs_live WHERE {condition} AND state <> 'parked')
                + (SELECT count(*) FROM outbox WHERE {condition}) AS n"
        );
        let waited =
            wait_until(limit, "no job is under way", async || Ok(self.sql.number(&under_way).await? == 0));
        let Err(error) = waited.await else { return Ok(()) };
        let left = format!(
            "SELECT kind, state, attempt, epoch, run_at, lease_expires_at, resource_key, errors -> -1 AS error,
                 (SELECT count(*) FROM outbox o WHERE o.job_id = j.id) AS bells
             FROM jobs_live j WHERE {condition} ORDER BY seq LIMIT 10"
        );
        let left = self.sql.rows(&left).await.unwrap_or_default();
        let left: Vec<String> = left.iter().map(Value::to_string).collect();
        Err(error.context(left.join("\n")))
    }

    /// Dead letters, of jobs and of the broker.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn dead_letters(&self) -> Result<Vec<Value>> {
        self.sql
            .rows(
                "SELECT kind, errors -> -1 ->> 'message' AS error FROM jobs_dead
                 UNION ALL SELECT routing_key, reason FROM broker_dead_letters",
            )
            .await
    }

    /// Deletes every exchange and queue of this platform, and every message with them.
    pub fn wipe_broker(&self) {
        crate::rig::clean_broker(&self.broker);
    }

    /// Ends every process by SIGTERM and removes the logs.
    ///
    /// # Errors
    /// When one does not end in time or ends with a failing exit code; the logs stay then.
    pub async fn stop(mut self) -> Result<()> {
        for (label, process) in &mut self.processes {
            let status = process.terminate(Duration::from_secs(30)).await?;
            if !status.success() {
                bail!("{label} ended with {status} after SIGTERM:\n{}", process.tail());
            }
        }
        std::fs::remove_dir_all(&self.folder).context("removing the logs")
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // The children first: the database is dropped after this, and what they wrote last must not come back.
        self.processes.clear();
        crate::rig::clean_broker(&self.broker);
        if self.folder.exists() {
            eprintln!("logs of the services: {}", self.folder.display());
        }
        let _ = &self.db;
    }
}

/// What services keep on the disk, beside the logs.
fn folders(folder: &std::path::Path) -> [(String, String); 3] {
    let below = |name: &str| folder.join(name).display().to_string();
    [
        ("SPOOL_DIR".to_owned(), below("spool")),
        ("AUDIT_ARCHIVE_URL".to_owned(), format!("file:{}", below("archives"))),
        ("AUDIT_ARCHIVE_FALLBACK_URL".to_owned(), format!("file:{}", below("archives-fallback"))),
    ]
}

fn stand_in(options: &Options, folder: &std::path::Path, addresses: &[String; 3]) -> Launch {
    let [microsoft, google, control] = addresses;
    let fixed = [
        "--microsoft",
        microsoft,
        "--google",
        google,
        "--google-client-id",
        GOOGLE_CLIENT,
        "--google-client-secret",
        GOOGLE_SECRET,
        "--google-account",
        GOOGLE_ACCOUNT,
        "--google-auto-approve",
        "--control",
        control,
        "--tenant",
        AZURE_TENANT,
        "--client-id",
        AZURE_CLIENT,
        "--client-secret",
        AZURE_SECRET,
    ];
    Launch {
        program: "emulator".to_owned(),
        label: "emulator".to_owned(),
        args: fixed.iter().map(ToString::to_string).chain(options.emulator.iter().cloned()).collect(),
        env: BTreeMap::from([("LOG_LEVEL".to_owned(), "warn".to_owned())]),
        ready: Some(format!("http://{control}/readyz")),
        logs: folder.to_owned(),
    }
}
