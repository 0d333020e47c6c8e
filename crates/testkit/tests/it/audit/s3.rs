//! Archives in an S3 server that nobody here wrote (moto), with object lock, and behind a line that fails.

mod line;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use archive::{ArchiveConfig, ObjectStorage, Storage, StorageError, Stores};
use audit_retention::{Steps, retention};
use audit_trail::Trail;
use audit_trail::verify::Depth;
use bytes::Bytes;
use chassis::config::{Env, FromEnv};
use chassis::time::SystemClock;
use domain::audit::retention::{OTHERS, Policy};
use domain::time::Clock;
use outbound::http::{HttpClient, Request};
use outbound::{HeaderName, HeaderValue, Method, Url};
use store::audit::policies;
use testkit::e2e::ports::Ports;
use testkit::eventually;
use tokio::process::{Child, Command};

use super::Scene;
use line::{Fault, Line};

const BUCKET: &str = "archives";
const LOCK: &str = "<ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>3650</Days>\
    </DefaultRetention></Rule></ObjectLockConfiguration>";

/// An S3 server with one bucket under object lock. Dropping it ends the process.
struct S3 {
    address: SocketAddr,
    client: HttpClient,
    _process: Child,
    _ports: Ports,
}

impl S3 {
    /// `None`, with a notice, where moto could not be installed; in CI that is a failure.
    async fn start() -> Option<Self> {
        let program = std::env::var_os("TEST_MOTO_SERVER").map(PathBuf::from);
        let Some(program) = program.filter(|program| program.exists()) else {
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "TEST_MOTO_SERVER names no program: `make test` installs moto from PyPI");
            eprintln!("skipped: moto is not installed; `make test` does it where PyPI is reachable");
            return None;
        };
        let mut ports = Ports::take().expect("ports");
        let address = ports.address().expect("a port");
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("moto starts");
        let client = HttpClient::builder().build().expect("a client");
        let server = Self { address, client, _process: process, _ports: ports };
        eventually("moto answers", async || server.call(Method::GET, "/", &[], "").await.map(drop)).await;
        let lock = [("x-amz-bucket-object-lock-enabled", "true")];
        let made = server.call(Method::PUT, &format!("/{BUCKET}"), &lock, "").await.expect("an answer");
        assert_eq!(made.0, 200, "{made:?}");
        let locked = server.call(Method::PUT, &format!("/{BUCKET}?object-lock"), &[], LOCK).await;
        assert_eq!(locked.as_ref().map(|answer| answer.0), Some(200), "{locked:?}");
        Some(server)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<(u16, String)> {
        let url = Url::parse(&format!("http://{}{path}", self.address)).expect("an address");
        let mut request = Request::new(method, url);
        // moto reads the region from it and checks nothing.
        let account = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        for (name, value) in headers.iter().chain(&[("authorization", account)]) {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            request = request.header(name, HeaderValue::from_str(value).expect("a value"));
        }
        if !body.is_empty() {
            request.body = Bytes::from(body.to_owned());
        }
        let answer = self.client.send(request).await.ok()?;
        Some((answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()))
    }
}

fn storage(address: SocketAddr) -> Arc<dyn Storage> {
    let mut env = Env::from_pairs([
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AUDIT_ARCHIVE_TIMEOUT_SECONDS", "1".to_owned()),
    ]);
    let config = ArchiveConfig::from_env(&mut env);
    Arc::new(ObjectStorage::open(&format!("s3://{BUCKET}/syncline"), &config).expect("a store"))
}

async fn eager(scene: &Scene) {
    let policy = Policy {
        class: OTHERS.to_owned(),
        archive_after_days: 0,
        purge_after_days: Some(0),
        legal_hold: false,
    };
    let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
    policies::replace(&mut tx, scene.company, &[policy], "test").await.expect("policies");
    tx.commit().await.expect("a commit");
}

fn at(scene: &Scene, storage: Arc<dyn Storage>) -> Trail {
    Trail { stores: Some(Stores { primary: storage, fallback: None }), ..scene.trail.clone() }
}

fn steps(scene: &Scene) -> Steps {
    Steps::alone(&scene.db.store, scene.company, chassis::ids::new_id())
}

async fn online(scene: &Scene) -> i64 {
    scene.db.number("SELECT count(*) FROM audit_events WHERE action = 'schedule.pause'").await
}

#[tokio::test]
async fn archives_are_kept_under_object_lock_and_read_back() {
    let Some(server) = S3::start().await else { return };
    let mut scene = Scene::new().await;
    scene.trail = at(&scene, storage(server.address));
    scene.keep(40).await;
    eager(&scene).await;
    let done = retention::run(&scene.trail, &steps(&scene), SystemClock.now()).await.expect("a run");
    assert_eq!((&done["archived"], &done["purged"]), (&40.into(), &40.into()), "{done}");
    assert!(scene.verify(Depth::Archives).await.valid);
    let row = scene.db.rows("SELECT path FROM audit_archives").await.remove(0);
    let key = format!("/{BUCKET}/syncline/{}/part-0001.jsonl.zst", row["path"].as_str().expect("a path"));
    let versions =
        server.call(Method::GET, &format!("/{BUCKET}?versions"), &[], "").await.expect("versions").1;
    let part =
        versions.split("<Version>").find(|text| text.contains("part-0001")).expect("a version of the part");
    let version = part.split("<VersionId>").nth(1).and_then(|text| text.split('<').next()).expect("its id");
    let gone = server.call(Method::DELETE, &format!("{key}?versionId={version}"), &[], "").await;
    assert_eq!(gone.expect("an answer").0, 403, "the lock holds it");
    // Who may write may still put a mark of removal before it: found, and nothing is purged on the strength of it.
    server.call(Method::DELETE, &key, &[], "").await.expect("an answer");
    let path = format!("{}/part-0001.jsonl.zst", row["path"].as_str().expect("a path"));
    let missing = scene.trail.stores.as_ref().expect("stores").primary.get(&path).await;
    assert!(matches!(missing, Err(StorageError::NotFound { .. })));
    assert!(!scene.verify(Depth::Archives).await.valid);
}

#[tokio::test]
async fn nothing_is_purged_over_a_line_that_fails() {
    let Some(server) = S3::start().await else { return };
    for fault in [Fault::Refuses, Fault::Hangs, Fault::Loses, Fault::Truncates] {
        // The first object of the archive, and its manifest; when it is read, each of them.
        for skip in 0..2 {
            let line = Line::start(server.address, fault, skip).await;
            let mut scene = Scene::new().await;
            scene.keep(25).await;
            eager(&scene).await;
            let trail = at(&scene, storage(line.address()));
            let first = retention::run(&trail, &steps(&scene), SystemClock.now()).await;
            assert!(first.is_err(), "{fault:?} after {skip}: {first:?}");
            assert!(line.struck() > 0, "{fault:?} after {skip} was never met");
            assert_eq!(online(&scene).await, 25, "{fault:?} after {skip}");
            let verified = "SELECT count(*) FROM audit_archives WHERE verified_at IS NOT NULL";
            assert_eq!(scene.db.number(verified).await, 0, "{fault:?} after {skip}");
            // An archive that is not what was written stops the purge until somebody looks.
            let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
            policies::switch(&mut tx, scene.company, false, "test", "test").await.expect("resumed");
            tx.commit().await.expect("a commit");
            scene.trail = at(&scene, storage(server.address));
            retention::run(&scene.trail, &steps(&scene), SystemClock.now()).await.expect("a run");
            assert_eq!(online(&scene).await, 0, "{fault:?} after {skip}");
            let twice = "SELECT count(*) - count(DISTINCT first_sequence) FROM audit_archives";
            assert_eq!(scene.db.number(twice).await, 0);
            let report = scene.verify(Depth::Archives).await;
            assert!(report.valid, "{fault:?} after {skip}: {report:?}");
        }
    }
}
