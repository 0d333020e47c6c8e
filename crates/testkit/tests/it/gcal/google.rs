//! A small stand-in for Google on loopback: OAuth with PKCE, one account, and whatever a test makes of the calendar.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::lifecycle::Tasks;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

/// A call that the stand-in saw.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method and path, without the query.
    pub line: String,
    pub query: HashMap<String, String>,
    pub if_match: Option<String>,
    pub body: String,
}

/// What the stand-in knows, for the test to change.
#[derive(Debug, Default)]
pub struct State {
    pub seen: Vec<Seen>,
    /// Challenges of consents that were given, by code.
    codes: HashMap<String, String>,
    /// Refresh tokens that stand.
    pub grants: HashSet<String>,
    /// Access tokens that stand.
    pub access: HashSet<String>,
    counter: u32,
    /// Scopes of the next consent; all when empty.
    pub scopes: Vec<String>,
    /// Life of access tokens in seconds.
    pub life: Option<u64>,
    /// The token endpoint gives no refresh token.
    pub no_refresh_token: bool,
    /// The account that consents.
    pub subject: String,
    /// Calendars of the account: id and access role; the first one is primary.
    pub calendars: Vec<(String, String)>,
    /// Answers instead of the ordinary ones, used up in order: part of the line, status, body.
    pub scripted: Vec<(String, u16, Value)>,
    /// Lines that are never answered.
    pub silent: Vec<String>,
}

/// The stand-in.
#[derive(Debug, Clone)]
pub struct Google {
    pub root: String,
    state: Arc<Mutex<State>>,
    _tasks: Arc<Tasks>,
}

pub const SCOPES: [&str; 4] = [
    "openid",
    "email",
    "https://www.googleapis.com/auth/calendar.events",
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
];

pub fn reason(status: u16, reason: &str) -> (u16, Value) {
    let error = json!({ "domain": "global", "reason": reason, "message": reason });
    (status, json!({ "error": { "errors": [error], "code": status, "message": reason } }))
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    if status == StatusCode::NO_CONTENT {
        status.into_response()
    } else {
        (status, axum::Json(body)).into_response()
    }
}

fn form(text: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

impl Google {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let root = format!("http://{}", listener.local_addr().expect("an address"));
        let state = State {
            subject: "117".to_owned(),
            calendars: vec![
                ("anna@example.com".to_owned(), "owner".to_owned()),
                ("team@group.calendar.google.com".to_owned(), "writer".to_owned()),
                ("holidays@group.v.calendar.google.com".to_owned(), "reader".to_owned()),
            ],
            ..State::default()
        };
        let tasks = Arc::new(Tasks::new());
        let google = Self { root, state: Arc::new(Mutex::new(state)), _tasks: Arc::clone(&tasks) };
        let shared = Arc::clone(&google.state);
        let app = Router::new().fallback(move |request: Request| {
            let shared = Arc::clone(&shared);
            async move {
                let (parts, body) = request.into_parts();
                let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
                let header = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
                let seen = Seen {
                    line: format!("{} {}", parts.method, parts.uri.path()),
                    query: form(parts.uri.query().unwrap_or_default()),
                    if_match: header("if-match"),
                    body: String::from_utf8_lossy(&bytes).into_owned(),
                };
                let bearer = header("authorization").unwrap_or_default();
                let (response, silent) = {
                    let mut state = shared.lock().expect("lock");
                    let silent = state.silent.iter().any(|part| seen.line.contains(part));
                    (state.handle(&seen, bearer.trim_start_matches("Bearer ")), silent)
                };
                if silent {
                    std::future::pending::<()>().await;
                }
                response
            }
        });
        tasks.spawn("google", async move { axum::serve(listener, app).await.expect("serving") });
        google
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }

    /// What a person who consents brings back: code and state.
    pub fn consent(&self, authorization_url: &str) -> (String, String) {
        let url = Url::parse(authorization_url).expect("an address");
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        for (name, value) in [
            ("response_type", "code"),
            ("access_type", "offline"),
            ("prompt", "consent"),
            ("include_granted_scopes", "true"),
            ("code_challenge_method", "S256"),
            ("client_id", "client"),
            ("redirect_uri", "http://localhost/api/oauth/google/callback"),
        ] {
            assert_eq!(query.get(name).map(String::as_str), Some(value), "{name} in {query:?}");
        }
        let mut state = self.state();
        state.counter += 1;
        let code = format!("code-{}", state.counter);
        state.codes.insert(code.clone(), query["code_challenge"].clone());
        (code, query["state"].clone())
    }

    /// How often a line was called.
    pub fn calls(&self, part: &str) -> usize {
        self.state().seen.iter().filter(|seen| seen.line.contains(part)).count()
    }
}

impl State {
    fn handle(&mut self, seen: &Seen, bearer: &str) -> Response {
        self.seen.push(seen.clone());
        if let Some(at) = self.scripted.iter().position(|(part, ..)| seen.line.contains(part)) {
            let (_, status, body) = self.scripted.remove(at);
            return answer(status, &body);
        }
        match seen.line.as_str() {
            "POST /token" => self.token(&form(&seen.body)),
            "POST /revoke" => {
                let token = form(&seen.body).remove("token").unwrap_or_default();
                let stood = self.grants.remove(&token);
                self.access.clear();
                if stood {
                    answer(200, &json!({}))
                } else {
                    answer(400, &json!({ "error": "invalid_token" }))
                }
            }
            "POST /tokeninfo" => answer(200, &json!({ "sub": self.subject, "email": "anna@example.com" })),
            _ if !self.access.contains(bearer) => {
                let (status, body) = reason(401, "authError");
                answer(status, &body)
            }
            line => self.calendar(line, seen),
        }
    }

    fn token(&mut self, fields: &HashMap<String, String>) -> Response {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        if field("client_id") != "client" || field("client_secret") != "the secret" {
            return answer(401, &json!({ "error": "invalid_client" }));
        }
        let ended =
            json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
        let consent = field("grant_type") == "authorization_code";
        let known = if consent {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier").as_bytes()));
            self.codes.remove(&field("code")).is_some_and(|expected| expected == challenge)
        } else {
            self.grants.contains(&field("refresh_token"))
        };
        if !known {
            return answer(400, &ended);
        }
        self.counter += 1;
        let access = format!("access-{}", self.counter);
        self.access.insert(access.clone());
        let scopes = if self.scopes.is_empty() { SCOPES.join(" ") } else { self.scopes.join(" ") };
        let life = self.life.unwrap_or(3_599);
        let mut body = json!({ "access_token": access, "expires_in": life, "scope": scopes });
        if consent && !self.no_refresh_token {
            let refresh = format!("refresh-{}", self.counter);
            self.grants.insert(refresh.clone());
            body["refresh_token"] = json!(refresh);
        }
        answer(200, &body)
    }

    fn calendar(&self, line: &str, seen: &Seen) -> Response {
        let (method, path) = line.split_once(' ').expect("a line");
        let path = path.strip_prefix("/calendar/v3").expect("a path of the calendar");
        match (method, path) {
            ("GET", "/users/me/calendarList") => {
                let entry = |(at, (id, role)): (usize, &(String, String))| {
                    let zone = "Europe/Paris";
                    json!({ "id": id, "summary": id, "timeZone": zone, "accessRole": role, "primary": at == 0 })
                };
                let items: Vec<Value> = self.calendars.iter().enumerate().map(entry).collect();
                answer(200, &json!({ "items": items }))
            }
            ("POST", "/channels/stop") | ("DELETE", _) => answer(204, &json!(null)),
            ("POST", path) if path.ends_with("/events/watch") => {
                let asked: Value = serde_json::from_str(&seen.body).expect("JSON");
                let expiration = 1_900_000_000_000_i64;
                answer(
                    200,
                    &json!({ "kind": "api#channel", "id": asked["id"], "resourceId": format!("r-{}",
                    asked["id"].as_str().expect("an id")), "expiration": expiration.to_string() }),
                )
            }
            ("GET", path) if path.ends_with("/events") => {
                answer(200, &json!({ "items": [{ "id": "abcde", "etag": "\"1\"" }], "nextSyncToken": "s1" }))
            }
            ("POST" | "PATCH" | "PUT", _) => {
                let mut body: Value = serde_json::from_str(&seen.body).expect("JSON");
                if body["id"].is_null() {
                    body["id"] = json!(path.rsplit('/').next());
                }
                body["etag"] = json!("\"2\"");
                answer(200, &body)
            }
            _ => answer(200, &json!({ "id": path.rsplit('/').next(), "etag": "\"1\"", "x": 1 })),
        }
    }
}
