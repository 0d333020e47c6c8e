//! Connecting Google calendars over REST, with the real connector in between.

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use web::auth::Role;

use super::{Answer, NOWHERE, request, router_with, send, token};
use crate::gcal::world::World;

const START: &str = "/api/oauth/google/start";

struct Rest {
    world: World,
    router: Router,
}

impl Rest {
    async fn new() -> Self {
        let world = World::new().await;
        let router = router_with(&world.db.store, NOWHERE, &world.replica.url);
        Self { world, router }
    }

    async fn call(&self, role: Role, method: Method, path: &str, body: Option<Value>) -> Answer {
        let token = token(self.world.company, role);
        send(&self.router, request(Some(&token), method, path, body)).await
    }

    /// Without a token, as a browser: with a cookie and what it accepts.
    async fn browse(&self, path: &str, cookie: &str, accept: &str) -> Answer {
        let request = Request::builder().uri(path).header("cookie", cookie).header("accept", accept);
        send(&self.router, request.body(Body::empty()).expect("a request")).await
    }

    /// Begins a consent and gives it: the callback's path and the cookie.
    async fn consent(&self, query: &str) -> (String, String) {
        let begun = self.call(Role::Admin, Method::GET, &format!("{START}{query}"), None).await;
        assert_eq!(begun.status, StatusCode::FOUND, "{begun:?}");
        let location = begun.headers["location"].to_str().expect("an address");
        let (code, state) = self.world.google.consent(location);
        let cookie = begun.headers["set-cookie"].to_str().expect("a cookie");
        for part in ["HttpOnly", "SameSite=Lax", "Path=/api/oauth/google", "Max-Age=600"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let path =
            format!("/api/oauth/google/callback?state={state}&code={code}&scope=x&authuser=0&prompt=consent");
        (path, cookie)
    }
}

#[tokio::test]
async fn a_browser_connects_lists_and_disconnects() {
    let rest = Rest::new().await;
    let (path, cookie) = rest.consent("?sync_direction=both").await;
    let done = rest.browse(&path, &cookie, "application/json").await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    assert_eq!(done.body["calendar_id"], "anna@example.com");
    let used = rest.browse(&path, &cookie, "application/json").await;
    assert_eq!((used.status, &used.body["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_state")));

    let listed = rest.call(Role::Admin, Method::GET, "/api/connections", None).await;
    let connection = &listed.body["items"][0];
    for (name, value) in [
        ("id", done.body["id"].clone()),
        ("provider", json!("google")),
        ("account", json!("anna@example.com")),
        ("state", json!("active")),
        ("sync_direction", json!("both")),
    ] {
        assert_eq!(connection[name], value, "{listed:?}");
    }
    assert!(connection["expires_at"].is_string());
    let path = format!("/api/connections/{}", connection["id"].as_str().expect("an id"));
    let calendars = rest.call(Role::Admin, Method::GET, &format!("{path}/calendars"), None).await;
    assert_eq!(calendars.body["items"].as_array().expect("a list").len(), 3, "{calendars:?}");
    let body = json!({ "connection_id": connection["id"], "calendar_id": "team@group.calendar.google.com" });
    let added = rest.call(Role::Admin, Method::POST, "/api/connections", Some(body)).await;
    assert_eq!(added.status, StatusCode::CREATED, "{added:?}");
    let changed =
        rest.call(Role::Admin, Method::PATCH, &path, Some(json!({ "sync_direction": "from_google" }))).await;
    assert_eq!(changed.body["sync_direction"], "from_google", "{changed:?}");
    let wrong = rest.call(Role::Admin, Method::PATCH, &path, Some(json!({ "sync_direction": "up" }))).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let gone = rest.call(Role::Admin, Method::DELETE, &path, None).await;
    assert_eq!((gone.status, &gone.body["last_calendar"]), (StatusCode::OK, &json!(false)), "{gone:?}");
    let other = format!("/api/connections/{}", added.body["id"].as_str().expect("an id"));
    let gone = rest.call(Role::Admin, Method::DELETE, &other, None).await;
    assert_eq!((&gone.body["last_calendar"], &gone.body["grant_revoked"]), (&json!(true), &json!(true)));
    let unknown = format!("/api/connections/{}", chassis::ids::new_id());
    assert_eq!(rest.call(Role::Admin, Method::DELETE, &unknown, None).await.status, StatusCode::NOT_FOUND);
    let actions = rest.world.db.rows("SELECT action FROM audit_events ORDER BY occurred_at").await;
    assert_eq!(actions.len(), 5, "{actions:?}");
}

#[tokio::test]
async fn the_consent_belongs_to_its_session() {
    let rest = Rest::new().await;
    let (path, _) = rest.consent("").await;
    let thief = rest.browse(&path, "syncline_oauth=guessed; other=1", "application/json").await;
    assert_eq!((thief.status, &thief.body["code"]), (StatusCode::FORBIDDEN, &json!("session_mismatch")));
    let (path, _) = rest.consent("").await;
    let bare = rest.browse(&path, "", "application/json").await;
    assert_eq!(bare.status, StatusCode::FORBIDDEN);
    // The same user's token is as good as the cookie.
    let (path, _) = rest.consent("").await;
    let own = rest.call(Role::Admin, Method::GET, &path, None).await;
    assert_eq!(own.status, StatusCode::OK, "{own:?}");
    // Browsers get a page.
    let (path, cookie) = rest.consent("").await;
    let page = rest.browse(&path, &format!("a=b; {cookie}"), "text/html,application/xhtml+xml").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert!(page.headers["content-type"].to_str().expect("text").starts_with("text/html"));
    let denied = rest.consent("").await;
    let path = denied.0.replace("&code=", "&error=access_denied&nothing=");
    let denied = rest.browse(&path, &denied.1, "application/json").await;
    assert_eq!((denied.status, &denied.body["code"]), (StatusCode::BAD_REQUEST, &json!("consent_denied")));
}

#[tokio::test]
async fn scripts_get_json_and_only_administrators_begin() {
    let rest = Rest::new().await;
    let token = token(rest.world.company, Role::Admin);
    let ask = Request::builder().uri(START).header("accept", "application/json");
    let ask = ask.header("authorization", format!("Bearer {token}")).body(Body::empty()).expect("a request");
    let begun = send(&rest.router, ask).await;
    assert_eq!(begun.status, StatusCode::OK, "{begun:?}");
    assert!(begun.body["authorization_url"].as_str().expect("an address").contains("/o/oauth2/v2/auth?"));
    assert!(begun.headers.contains_key("set-cookie") && begun.body["expires_at"].is_string());
    for (method, path) in [
        (Method::GET, START),
        (Method::GET, "/api/connections"),
        (Method::DELETE, "/api/connections/0192f0c8-0000-7000-8000-000000000001"),
    ] {
        let refused = rest.call(Role::Operator, method.clone(), path, None).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        let refused = send(&rest.router, request(None, method, path, None)).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let auth = rest.call(Role::Viewer, Method::GET, "/api/auth/health", None).await;
    assert_eq!(auth.body["providers"]["google"]["configured"], true, "{auth:?}");
    let lonely = router_with(&rest.world.db.store, NOWHERE, NOWHERE);
    let away = send(&lonely, request(Some(&token), Method::GET, START, None)).await;
    assert_eq!(
        (away.status, &away.body["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("connector_unavailable"))
    );
}
