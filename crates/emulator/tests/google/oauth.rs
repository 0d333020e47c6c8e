//! E36 and A8: consent, PKCE, codes, refresh tokens, scopes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emulator::google::GoogleApp;
use emulator::{Config, DEMO_GOOGLE_ACCOUNT, DEMO_GOOGLE_CLIENT, DEMO_GOOGLE_SECRET};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::stage::event;
use crate::support::exchange;
use crate::wire::{Wire, reason};

const BACK: &str = "https://app.example.org/callback?from=google";
const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events";
const LIST: &str = "https://www.googleapis.com/auth/calendar.calendarlist.readonly";
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters-0123456789";

async fn stage() -> Wire {
    let app = GoogleApp {
        client_id: DEMO_GOOGLE_CLIENT.into(),
        client_secret: DEMO_GOOGLE_SECRET.into(),
        redirect_uris: vec![BACK.into()],
    };
    Wire::with(Config { google_apps: vec![app], ..Config::default() }).await
}

fn asked(extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let scope = format!("{EVENTS} {LIST}");
    let mut pairs: Vec<(String, String)> = [
        ("client_id", DEMO_GOOGLE_CLIENT),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", scope.as_str()),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("state", "state-1"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    for (key, value) in extra {
        pairs.retain(|(known, _)| known != key);
        if !value.is_empty() {
            pairs.push(((*key).to_owned(), (*value).to_owned()));
        }
    }
    pairs
}

async fn authorize(wire: &Wire, extra: &[(&str, &str)]) -> (u16, String, String) {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked(extra));
    let url = wire.url(&format!("/o/oauth2/v2/auth?{}", query.finish()));
    let answer = exchange(Method::GET, &url, &[], "").await.unwrap();
    let location = answer.header("location").to_owned();
    (answer.status, location, String::from_utf8_lossy(&answer.body).into_owned())
}

fn pairs(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// The parameters that come back to the application.
fn returned(location: &str) -> std::collections::HashMap<String, String> {
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

async fn code(wire: &Wire, extra: &[(&str, &str)]) -> String {
    let mut all = vec![("auto_approve", "true")];
    all.extend_from_slice(extra);
    let (status, location, body) = authorize(wire, &all).await;
    assert_eq!(status, 302, "{body}");
    returned(&location)["code"].clone()
}

async fn redeem(wire: &Wire, code: &str, verifier: &str) -> (u16, Value) {
    let mut pairs = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK)];
    if !verifier.is_empty() {
        pairs.push(("code_verifier", verifier));
    }
    let answer = wire.token_endpoint(&pairs).await;
    (answer.status, answer.json())
}

async fn refresh(wire: &Wire, token: &str) -> (u16, Value) {
    let answer = wire.token_endpoint(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn e36_consent_is_a_page_and_comes_back_with_a_code() {
    let wire = stage().await;
    let (status, _, page) = authorize(&wire, &[]).await;
    assert!(status == 200 && page.contains(EVENTS) && page.contains("approve"), "{page}");
    let mut form: Vec<(String, String)> = asked(&[]);
    form.push(("account".into(), "new@example.org".into()));
    form.push(("grant".into(), EVENTS.into()));
    let mut deny = form.clone();
    deny.push(("decision".into(), "deny".into()));
    form.push(("decision".into(), "approve".into()));
    let denied = wire.form("/o/oauth2/v2/auth", &pairs(&deny)).await.expect(302);
    assert_eq!(returned(denied.header("location"))["error"], "access_denied");
    let approved = wire.form("/o/oauth2/v2/auth", &pairs(&form)).await.expect(302);
    let back = returned(approved.header("location"));
    assert_eq!((back["state"].as_str(), back["from"].as_str()), ("state-1", "google"));
    assert_eq!(back["scope"], EVENTS, "only what was ticked");
    let (status, given) = redeem(&wire, &back["code"], VERIFIER).await;
    assert_eq!(
        (status, given["scope"].as_str(), given["expires_in"].as_i64()),
        (200, Some(EVENTS), Some(3599))
    );
    assert!(given["refresh_token"].is_string());
    for (extra, what) in [
        (("client_id", "unknown"), "invalid_client"),
        (("redirect_uri", "https://evil.example.org/"), "redirect_uri_mismatch"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", ""), "invalid_request"),
    ] {
        let (status, location, page) = authorize(&wire, &[extra]).await;
        assert!(status == 400 && location.is_empty() && page.contains(what), "{what}: {page}");
    }
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e36_pkce_and_codes_are_checked() {
    let wire = stage().await;
    let first = code(&wire, &[]).await;
    let (status, body) = redeem(&wire, &first, "another-verifier").await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")));
    let (status, _) = redeem(&wire, &first, VERIFIER).await;
    assert_eq!(status, 400, "a code is spent by its first use");
    let (status, body) = redeem(&wire, &code(&wire, &[]).await, "").await;
    assert_eq!((status, body["error_description"].as_str()), (400, Some("Missing code verifier.")));
    // Without a method the challenge is plain.
    let plain = code(&wire, &[("code_challenge_method", ""), ("code_challenge", "plain-one")]).await;
    assert_eq!(redeem(&wire, &plain, "plain-one").await.0, 200);
    let late = code(&wire, &[]).await;
    wire.control(Method::POST, "/clock", &json!({"advance_seconds": 601})).await.expect(200);
    assert_eq!(redeem(&wire, &late, VERIFIER).await.0, 400);
    let wrong =
        wire.form("/token", &[("client_id", DEMO_GOOGLE_CLIENT), ("client_secret", "x")]).await.expect(401);
    assert_eq!(wrong.json()["error"], "invalid_client");
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e36_refresh_tokens_come_once_live_long_and_die() {
    let wire = stage().await;
    let (_, first) = redeem(&wire, &code(&wire, &[]).await, VERIFIER).await;
    let (_, second) = redeem(&wire, &code(&wire, &[("prompt", "")]).await, VERIFIER).await;
    assert!(first["refresh_token"].is_string() && second["refresh_token"].is_null(), "a returning user");
    let (_, online) = redeem(&wire, &code(&wire, &[("access_type", "")]).await, VERIFIER).await;
    assert!(online["refresh_token"].is_null());
    let token = first["refresh_token"].as_str().unwrap();
    let (status, fresh) = refresh(&wire, token).await;
    assert!(status == 200 && fresh["access_token"].is_string() && fresh["refresh_token"].is_null());
    // A hundred newer ones put the oldest one out.
    for _ in 0..100 {
        wire.mint(&json!({"provider": "google", "account": DEMO_GOOGLE_ACCOUNT})).await;
    }
    let (status, dead) = refresh(&wire, token).await;
    assert_eq!(
        (status, dead),
        (400, json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}))
    );
    let grants = wire
        .control(Method::GET, &format!("/google/grants?account={DEMO_GOOGLE_ACCOUNT}"), &Value::Null)
        .await;
    assert_eq!(grants.json()["refresh_tokens"], 100);

    let restrict = json!({"account": "b@example.org", "restricted": true});
    let minted = wire.mint(&json!({"provider": "google", "account": "b@example.org"})).await;
    let other = minted["refresh_token"].as_str().unwrap();
    wire.control(Method::POST, "/google/grants/restrict", &restrict).await.expect(204);
    assert_eq!(refresh(&wire, other).await.1["error"], "admin_policy_enforced");
    let lift = json!({"account": "b@example.org", "restricted": false});
    wire.control(Method::POST, "/google/grants/restrict", &lift).await.expect(204);
    assert_eq!(refresh(&wire, other).await.0, 200);
    wire.control(Method::POST, "/clock", &json!({"advance_seconds": 200 * 86_400})).await.expect(200);
    assert_eq!(refresh(&wire, other).await.0, 400, "unused for six months");
    let timed = json!({"time_based_grant_seconds": 3600});
    wire.control(Method::PUT, "/google/switches", &timed).await.expect(204);
    let (_, given) = redeem(&wire, &code(&wire, &[]).await, VERIFIER).await;
    assert_eq!(given["refresh_token_expires_in"], 3600);
    wire.control(Method::POST, "/clock", &json!({"advance_seconds": 3601})).await.expect(200);
    assert_eq!(refresh(&wire, given["refresh_token"].as_str().unwrap()).await.0, 400);
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e36_scopes_may_be_a_subset_and_are_enforced() {
    let mut wire = stage().await;
    let withheld = json!({"withheld_scopes": [EVENTS]});
    wire.control(Method::PUT, "/google/switches", &withheld).await.expect(204);
    let (_, given) = redeem(&wire, &code(&wire, &[]).await, VERIFIER).await;
    assert_eq!(given["scope"], LIST);
    given["access_token"].as_str().unwrap().clone_into(&mut wire.token);
    wire.get("/users/me/calendarList").await.expect(200);
    let refused = wire.insert(&event("event1")).await.expect(403);
    assert_eq!(reason(&refused), "insufficientPermissions");
    wire.control(Method::PUT, "/google/switches", &json!({"error_shape": "modern"})).await.expect(204);
    let modern = wire.insert(&event("event1")).await.expect(403).json();
    assert_eq!(modern["error"]["details"][0]["reason"], "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    assert!(modern["error"].get("errors").is_none());
    let info = wire.form("/tokeninfo", &[("access_token", &wire.token)]).await.expect(200).json();
    assert_eq!((info["scope"].as_str(), info["aud"].as_str()), (Some(LIST), Some(DEMO_GOOGLE_CLIENT)));
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e36_revoking_either_token_ends_the_grant() {
    for which in ["access_token", "refresh_token"] {
        let mut wire = stage().await;
        let (_, given) = redeem(&wire, &code(&wire, &[]).await, VERIFIER).await;
        let token = given[which].as_str().unwrap();
        given["access_token"].as_str().unwrap().clone_into(&mut wire.token);
        wire.get("/calendars/primary/events").await.expect(200);
        wire.form("/revoke", &[("token", token)]).await.expect(200);
        let refused = wire.get("/calendars/primary/events").await.expect(401);
        assert_eq!(reason(&refused), "authError");
        assert_eq!(refresh(&wire, given["refresh_token"].as_str().unwrap()).await.0, 400);
        wire.form("/revoke", &[("token", token)]).await.expect(400);
        wire.emulator.stop().await;
    }
}
