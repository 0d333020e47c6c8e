//! A client that does nothing on its own: no redirects, no retries, one connection for each call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::time::Clock as _;
use emulator::{Config, DriveSpec, Emulator};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longest wait for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Code of Graph's error body.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// One HTTP exchange; the error text is that of a broken connection.
pub async fn exchange(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, String> {
    let address: SocketAddr =
        url.strip_prefix("http://").unwrap().split('/').next().unwrap().parse().unwrap();
    let target = url.strip_prefix("http://").unwrap().strip_prefix(&address.to_string()).unwrap();
    let work = async {
        let stream = TcpStream::connect(address).await.map_err(|fault| fault.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|fault| fault.to_string())?;
        let mut request = Request::builder().method(method).uri(target).header("host", address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let talk = async {
            let response =
                sender.send_request(request).await.map_err(|fault| format!("no answer: {fault}"))?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|fault| format!("half an answer: {fault}"))?.to_bytes();
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        let mut talk = std::pin::pin!(talk);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            answer = &mut talk => answer,
            _ = &mut connection => talk.await,
        }
    };
    tokio::time::timeout(DEADLINE, work).await.map_err(|_| format!("no answer from {url} in {DEADLINE:?}"))?
}

/// An emulator and a token for it.
pub struct Stage {
    pub emulator: Emulator,
    pub token: String,
}

impl Stage {
    pub async fn start(config: Config) -> Self {
        let emulator = Emulator::start(config).await.unwrap();
        let mut stage = Self { emulator, token: String::new() };
        stage.renew().await;
        stage
    }

    pub async fn with(drives: Vec<DriveSpec>) -> Self {
        Self::start(Config { drives, ..Config::default() }).await
    }

    /// A drive `d` of that many items.
    pub async fn generated(items: u32) -> Self {
        Self::with(vec![DriveSpec::generated("d", 1, items)]).await
    }

    pub async fn renew(&mut self) {
        let answer = self.control(Method::POST, "/tokens", r#"{"provider":"microsoft"}"#).await.expect(200);
        answer.json()["access_token"].as_str().unwrap().clone_into(&mut self.token);
    }

    /// A full URL, or a path below `/v1.0`.
    pub async fn try_send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let url = if target.starts_with("http://") {
            target.to_owned()
        } else {
            format!("{}{target}", self.emulator.graph_base_url())
        };
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        exchange(method, &url, &all, body).await
    }

    pub async fn send(&self, method: Method, target: &str, body: impl Into<Bytes>) -> Answer {
        self.try_send(method, target, &[], body).await.unwrap()
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, "").await
    }

    pub async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_send(Method::GET, target, headers, "").await.unwrap()
    }

    pub async fn put(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::PUT, target, body).await
    }

    pub async fn control(&self, method: Method, path: &str, body: &str) -> Answer {
        let url = format!("{}{path}", self.emulator.control_url());
        exchange(method, &url, &[("content-type", "application/json")], body.to_owned()).await.unwrap()
    }

    pub async fn fault(&self, spec: &str) {
        self.control(Method::POST, "/faults", spec).await.expect(201);
    }

    pub async fn calls(&self) -> Vec<Value> {
        let answer = self.control(Method::GET, "/calls", "").await.expect(200);
        answer.json()["items"].as_array().unwrap().clone()
    }

    /// Live items of drive `d` as the emulator knows them.
    pub async fn state(&self) -> Vec<Value> {
        let answer = self.control(Method::GET, "/state?provider=microsoft&drive=d", "").await.expect(200);
        answer.json()["drives"][0]["items"].as_array().unwrap().clone()
    }
}

/// Asks until the answer is yes; the only waiting that tests do.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let clock = Arc::new(chassis::time::SystemClock);
    let begun = clock.now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!((clock.now() - begun).to_std().unwrap_or_default() < DEADLINE, "never: {what}");
        chassis::time::pause(Duration::from_millis(10)).await;
    }
}

/// A directory that goes away with the test.
pub struct Scratch(pub std::path::PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let unique = chassis::ids::new_id().simple();
        let path = std::env::temp_dir().join(format!("emulator-{name}-{unique}"));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, path: &str, content: &str) {
        let file = self.0.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
