//! Tokens and roles.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chassis::config::Env;
use chassis::config::FromEnv;
use chassis::secret::Secret;
use chrono::{DateTime, Utc};
use domain::ids::CompanyId;
use domain::time::ManualClock;
use http::Request;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use support::{Answer, send};
use web::auth::{Admin, AuthError, Authenticator, Claims, JwtConfig, KeySource, Operator, Role, Viewer};
use web::auth::{fetch_jwks_with, mint};
use web::kit::{KitConfig, layers};

const SECRET: &str = "a secret of at least thirty-two bytes";
/// A throw-away P-256 key made for this test.
const EC_KEY: &str = include_str!("support/ec-key.pem");

fn clock() -> ManualClock {
    ManualClock::new("2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().expect("a time"))
}

fn claims(role: Role) -> Claims {
    Claims::new("ada", CompanyId(uuid::Uuid::from_u128(7)), role, "syncline", "syncline")
}

fn token(secret: &str, claims: Claims, clock: &ManualClock) -> Secret {
    use domain::time::Clock;
    mint(&Secret::from(secret), claims, clock.now(), Duration::from_hours(1)).expect("signable")
}

fn authenticator(clock: &ManualClock) -> Authenticator {
    Authenticator::with_secret(Secret::from(SECRET).into(), "syncline", "syncline", Arc::new(clock.clone()))
}

fn app(clock: &ManualClock, per_minute: u32) -> Router {
    let router = Router::new()
        .route("/public", get(async || "open"))
        .route("/view", get(|Viewer(claims): Viewer| async move { claims.sub }))
        .route("/operate", get(|_: Operator| async { "operated" }))
        .route("/configure", get(|_: Admin| async { "configured" }));
    let config = KitConfig { per_minute, ..KitConfig::default() };
    layers(router, config.authenticated(authenticator(clock)))
}

async fn ask(app: &Router, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    send(app, request.body(String::new()).expect("a request")).await
}

#[tokio::test]
async fn roles_open_what_they_include() {
    let clock = clock();
    let app = app(&clock, 1000);
    for (role, expected) in [
        (Role::Viewer, [200, 403, 403]),
        (Role::Operator, [200, 200, 403]),
        (Role::Admin, [200, 200, 200]),
        (Role::Owner, [200, 200, 200]),
    ] {
        let bearer = format!("Bearer {}", token(SECRET, claims(role), &clock).expose());
        for (path, status) in ["/view", "/operate", "/configure"].iter().zip(expected) {
            let answer = ask(&app, path, Some(&bearer)).await;
            assert_eq!(answer.status.as_u16(), status, "{role} {path}: {}", answer.body);
            assert_eq!(answer.header("www-authenticate").contains("insufficient_scope"), status == 403);
        }
    }
}

#[tokio::test]
async fn without_a_valid_token_there_is_a_challenge_and_public_routes_stay_open() {
    let clock = clock();
    let app = app(&clock, 1000);
    let good = token(SECRET, claims(Role::Admin), &clock);
    let other_secret = token("another secret of at least 32 bytes!", claims(Role::Admin), &clock);
    let mut foreign = claims(Role::Admin);
    foreign.iss = "elsewhere".to_owned();
    let foreign = token(SECRET, foreign, &clock);
    let mut other_audience = claims(Role::Admin);
    other_audience.aud = vec!["someone".to_owned()];
    let other_audience = token(SECRET, other_audience, &clock);
    let unsigned = {
        let header = BASE64.encode(r#"{"alg":"none","typ":"JWT"}"#);
        format!("{header}.{}.", good.expose().split('.').nth(1).expect("three parts"))
    };
    for value in [
        None,
        Some("Basic YTpi".to_owned()),
        Some("Bearer".to_owned()),
        Some("Bearer not.a.token".to_owned()),
        Some(format!("Bearer {unsigned}")),
        Some(format!("Bearer {}x", good.expose())),
        Some(format!("Bearer {}", other_secret.expose())),
        Some(format!("Bearer {}", foreign.expose())),
        Some(format!("Bearer {}", other_audience.expose())),
    ] {
        let answer = ask(&app, "/view", value.as_deref()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["code"].as_str()),
            (401, Some("unauthorized")),
            "{value:?}"
        );
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{value:?}");
        assert_eq!(answer.header("www-authenticate").contains("invalid_token"), value.is_some());
        assert_eq!(ask(&app, "/public", value.as_deref()).await.body, "open");
    }
}

#[tokio::test]
async fn validity_ends_with_a_minute_of_leeway() {
    let clock = clock();
    let authenticator = authenticator(&clock);
    let token = token(SECRET, claims(Role::Viewer), &clock);
    clock.advance(Duration::from_secs(3600 + 59));
    assert!(authenticator.verify(token.expose()).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(authenticator.verify(token.expose()).await, Err(AuthError::Expired));
}

#[tokio::test]
async fn the_limit_counts_per_user_and_says_so() {
    let clock = clock();
    let app = app(&clock, 3);
    let ada = format!("Bearer {}", token(SECRET, claims(Role::Admin), &clock).expose());
    for left in ["2", "1", "0"] {
        let answer = ask(&app, "/view", Some(&ada)).await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit-remaining")), (200, left));
        assert_eq!(answer.header("ratelimit-limit"), "3");
    }
    let refused = ask(&app, "/view", Some(&ada)).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (429, Some("too_many_requests")));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit-remaining")), ("20", "0"));
    let mut grace = claims(Role::Viewer);
    grace.sub = "grace".to_owned();
    let grace = format!("Bearer {}", token(SECRET, grace, &clock).expose());
    assert_eq!(ask(&app, "/view", Some(&grace)).await.status.as_u16(), 200);
    assert_eq!(ask(&app, "/public", None).await.status.as_u16(), 200);
}

fn signed(key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>, clock: &ManualClock) -> String {
    use domain::time::Clock;
    let mut claims = claims(Role::Operator);
    claims.exp = clock.now().timestamp() + 36_000;
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, &claims, key).expect("signable")
}

#[tokio::test]
async fn published_keys_are_cached_refetched_sparingly_and_not_confused() {
    let clock = clock();
    let key = EncodingKey::from_ec_pem(EC_KEY.as_bytes()).expect("a key");
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).expect("a public key");
    jwk.common.key_id = Some("k1".to_owned());
    let document = serde_json::json!({ "keys": [jwk] }).to_string();
    let fetches = Arc::new(AtomicU32::new(0));
    let (counted, served) = (fetches.clone(), document.clone());
    let fetch = fetch_jwks_with(move || {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        let body = served.clone();
        async move { if first { Err("connection refused".into()) } else { Ok(body.into()) } }
    });
    let config = JwtConfig {
        keys: KeySource::Jwks { url: "https://issuer.example/keys".to_owned() },
        issuer: "syncline".to_owned(),
        audience: "syncline".to_owned(),
    };
    let authenticator = Authenticator::new(config, Arc::new(clock.clone()), fetch);
    let good = signed(&key, Algorithm::ES256, Some("k1"), &clock);

    assert_eq!(authenticator.verify(&good).await, Err(AuthError::KeysUnavailable));
    assert_eq!(authenticator.verify(&good).await, Err(AuthError::KeysUnavailable));
    assert_eq!(fetches.load(Ordering::SeqCst), 1, "not hammered");
    clock.advance(Duration::from_mins(1));
    assert_eq!(authenticator.verify(&good).await.map(|claims| claims.role), Ok(Role::Operator));
    let anonymous = signed(&key, Algorithm::ES256, None, &clock);
    assert!(authenticator.verify(&anonymous).await.is_ok(), "the only key needs no name");
    assert_eq!(fetches.load(Ordering::SeqCst), 2);

    let unknown = signed(&key, Algorithm::ES256, Some("k2"), &clock);
    for _ in 0..3 {
        assert!(matches!(authenticator.verify(&unknown).await, Err(AuthError::Refused(_))));
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 2, "within a minute of the last fetch");
    clock.advance(Duration::from_mins(1));
    assert!(authenticator.verify(&unknown).await.is_err());
    assert_eq!(fetches.load(Ordering::SeqCst), 3);
    clock.advance(Duration::from_mins(61));
    assert!(authenticator.verify(&good).await.is_ok());
    assert_eq!(fetches.load(Ordering::SeqCst), 4, "after an hour");

    // The public key, known to everybody, must not pass as a shared secret.
    let confused =
        signed(&EncodingKey::from_secret(document.as_bytes()), Algorithm::HS256, Some("k1"), &clock);
    assert!(matches!(authenticator.verify(&confused).await, Err(AuthError::Refused(_))));
}

#[test]
fn production_refuses_known_and_short_secrets() {
    let read = |pairs: &[(&str, &str)]| {
        let mut env = Env::from_pairs(pairs.iter().copied());
        let config = JwtConfig::from_env(&mut env);
        (config, env.finish().map_err(|faults| faults.to_string()))
    };
    assert_eq!(read(&[]).1, Ok(()));
    assert_eq!(read(&[("JWT_SECRET", "short")]).1, Ok(()));
    assert_eq!(read(&[("APP_ENV", "production"), ("JWT_SECRET", SECRET)]).1, Ok(()));
    assert_eq!(read(&[("APP_ENV", "production"), ("JWT_JWKS_URL", "https://issuer.example/k")]).1, Ok(()));
    for pairs in [
        &[("APP_ENV", "production")][..],
        &[("APP_ENV", "production"), ("JWT_SECRET", "short-one")],
        &[("APP_ENV", "production"), ("JWT_SECRET", web::auth::DEVELOPMENT_SECRET)],
        &[("APP_ENV", "production"), ("JWT_JWKS_URL", "http://issuer.example/k")],
        &[("JWT_JWKS_URL", "https://issuer.example/k"), ("JWT_SECRET", SECRET)],
    ] {
        let (config, outcome) = read(pairs);
        let faults = outcome.expect_err("a fault");
        assert!(!faults.contains("short-one") && !faults.contains(SECRET), "{faults}");
        assert!(!format!("{config:?}").contains(SECRET));
    }
}
