//! A door with a spool of its own, for the tests of webhook-ingress.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use chassis::config::SecretSource;
use chassis::health::Need;
use chassis::secret::Secret;
use chassis::time::SystemClock;
use outbound::Url;
use outbound::http::HttpClient;
use outbound::jwks::SigningKeys;
use store::{DatabaseConfig, Store};
use testkit::rig::Process;
use web::kit::KitConfig;
use webhook_ingress::{Door, Parts, Rich, Spool, router};

/// What a door of a test is made of.
pub struct Plan {
    pub store: Store,
    pub realtime: bool,
    pub folder: PathBuf,
    pub spool_bytes: u64,
    /// `GRAPH_NOTIFICATION_KEYS`, the authority and our client id.
    pub rich: Option<(String, Url, String)>,
}

impl Plan {
    pub fn new(store: &Store) -> Self {
        let folder = std::env::temp_dir().join(format!("door-{}", chassis::ids::new_id()));
        Self { store: store.clone(), realtime: true, folder, spool_bytes: 64 << 20, rich: None }
    }

    pub fn open(self) -> TestDoor {
        let process = Process::alone();
        let clock: domain::time::SharedClock = Arc::new(SystemClock);
        let http = Arc::new(HttpClient::builder().build().expect("a client"));
        let nowhere = Url::parse("http://127.0.0.1:9").expect("an address");
        let (keys, authority, app) = match self.rich {
            Some((keys, authority, app)) => {
                (Some(SecretSource::fixed(Secret::from(keys))), authority, vec![app])
            }
            None => (None, nowhere, Vec::new()),
        };
        let parts = Parts {
            store: self.store,
            realtime: self.realtime,
            spool: Spool::open(&self.folder, self.spool_bytes).expect("a spool"),
            rich: Rich::new(keys, SigningKeys::new(http, &authority, Arc::clone(&clock)), app),
            proxy_hops: 1,
            clock,
            room: process.health.dependency("spool", Need::Hard),
        };
        let door = Door::open(parts, &process.tasks, &process.shutdown);
        let kit = KitConfig { body_limit: 1 << 20, ..KitConfig::default() };
        TestDoor { router: Some(router(&door, kit)), process, folder: self.folder }
    }
}

/// A door; its spool is removed with it.
pub struct TestDoor {
    router: Option<Router>,
    pub process: Process,
    pub folder: PathBuf,
}

impl TestDoor {
    /// Ends it as a process does, and leaves its spool.
    pub async fn end(mut self) -> PathBuf {
        self.router = None;
        self.process.shutdown.begin();
        let tasks = self.process.tasks.clone();
        testkit::eventually("the end of a door", async || tasks.running().is_empty().then_some(())).await;
        std::mem::take(&mut self.folder)
    }

    /// Files of the spool.
    pub fn spooled(&self) -> usize {
        files(&self.folder)
    }
}

/// Files of a spool.
pub fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "spool")).count()
}

impl Deref for TestDoor {
    type Target = Router;

    fn deref(&self) -> &Router {
        self.router.as_ref().expect("a door that has not ended")
    }
}

impl Drop for TestDoor {
    fn drop(&mut self) {
        self.router = None;
        self.process.shutdown.begin();
        if self.folder.is_dir() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A store whose server is away.
pub fn blind() -> Store {
    let config = DatabaseConfig {
        url: SecretSource::fixed(Secret::from("postgres://nobody@127.0.0.1:9/none")),
        max_connections: 1,
        acquire: std::time::Duration::from_secs(1),
    };
    Store::new(&config, "test").expect("a URL")
}
