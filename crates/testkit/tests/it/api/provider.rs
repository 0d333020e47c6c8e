//! Health, credentials, cache: what graph-connector tells.

use chassis::config::SecretSource;
use chassis::secret::Secret;
use http::{Method, StatusCode};
use serde_json::json;
use store::{DatabaseConfig, Store};
use testkit::eventually;
use web::auth::Role;

use super::{NOWHERE, World, request, router, send, token};

#[tokio::test]
async fn health_tells_hard_from_soft() {
    let world = World::new().await;
    let well = world.send(request(None, Method::GET, "/health", None)).await;
    assert_eq!((well.status, &well.body["status"]), (StatusCode::OK, &json!("healthy")), "{well:?}");

    let lonely = router(&world.db.store, NOWHERE);
    let degraded = send(&lonely, request(None, Method::GET, "/api/health", None)).await;
    assert_eq!(
        (degraded.status, &degraded.body["status"]),
        (StatusCode::OK, &json!("degraded")),
        "{degraded:?}"
    );
    assert_eq!(degraded.body["services"]["graph-connector"]["status"], "down");
    let viewer = token(world.company, Role::Viewer);
    let sync = send(&lonely, request(Some(&viewer), Method::GET, "/api/sync/health", None)).await;
    assert_eq!((sync.status, &sync.body["status"]), (StatusCode::OK, &json!("degraded")), "{sync:?}");
    let auth = send(&lonely, request(Some(&viewer), Method::GET, "/api/auth/health", None)).await;
    assert_eq!(auth.body["providers"]["microsoft"]["configured"], json!(null), "{auth:?}");

    let config = DatabaseConfig {
        url: SecretSource::fixed(Secret::from("postgres://nobody@127.0.0.1:9/none")),
        max_connections: 1,
        acquire: std::time::Duration::from_secs(1),
    };
    let blind = router(&Store::new(&config, "test").expect("a URL"), NOWHERE);
    let unhealthy = send(&blind, request(None, Method::GET, "/health", None)).await;
    assert_eq!(unhealthy.status, StatusCode::SERVICE_UNAVAILABLE, "{unhealthy:?}");
    assert_eq!(unhealthy.body["services"]["database"]["status"], "down");
    let list = send(&blind, request(Some(&viewer), Method::GET, "/api/aos", None)).await;
    assert_eq!((list.status, &list.body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    assert!(list.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn sync_health_has_the_runbooks_shape() {
    let world = World::new().await;
    world.schedules().await;
    let health = world.get("/api/sync/health").await.body;
    assert_eq!((&health["status"], &health["lastSync"]), (&json!("healthy"), &json!(null)), "{health}");
    let services = &health["services"];
    assert_eq!(services["scheduler"]["running"], true, "{services}");
    assert_eq!(services["scheduler"]["schedule"], "0 */6 * * *");
    assert!(services["scheduler"]["nextRun"].is_string(), "{services}");
    assert_eq!(services["onedrive"]["configured"], true);
    assert_eq!(services["onedrive"]["authenticated"], true);
    assert_eq!(services["cache"], json!({ "provider": "memory", "connected": true }));
    let breaker = &services["onedrive"]["circuitBreaker"];
    assert_eq!((&breaker["state"], &breaker["failureThreshold"]), (&json!("closed"), &json!(4)));
    assert_eq!((&breaker["timeout"], &breaker["resetTimeout"]), (&json!(90_000), &json!(60_000)));
    let retry = json!({ "maxAttempts": 4, "initialDelay": 1000, "maxDelay": 15_000, "backoffMultiplier": 2 });
    assert_eq!(services["onedrive"]["retry"], retry);

    world.connector.set(|status| status.breaker_state = 2);
    // The connector's word is kept for a second.
    let degraded = eventually("the open breaker is shown", async || {
        let health = world.get("/api/sync/health").await.body;
        (health["status"] == "degraded").then_some(health)
    })
    .await;
    assert_eq!(degraded["services"]["onedrive"]["circuitBreaker"]["state"], "open");
    world.connector.set(|status| status.authenticated = false);
    eventually("a refused credential is shown", async || {
        (world.get("/api/sync/health").await.body["status"] == "unhealthy").then_some(())
    })
    .await;
}

#[tokio::test]
async fn tokens_are_refreshed_and_caches_cleared() {
    let world = World::new().await;
    let refused = world.get("/api/login/microsoft").await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::BAD_GATEWAY, &json!("provider_credential"))
    );
    assert_eq!(refused.body["provider_code"], "AADSTS7000215");
    *world.connector.token.lock().expect("no panic") = Some(1_800_000_000_000_000);
    let login = world.get("/api/login/microsoft").await;
    assert_eq!((login.status, &login.body["status"]), (StatusCode::OK, &json!("refreshed")), "{login:?}");
    assert_eq!(login.body["expires_at"], "2027-01-15T08:00:00Z");

    let cleared = world.post("/api/cache/clear", Some(json!({ "scope": "ao-1" }))).await;
    assert_eq!((cleared.status, &cleared.body), (StatusCode::OK, &json!({ "cleared": 7 })));
    world.post("/api/cache/clear", None).await;
    assert_eq!(*world.connector.cleared.lock().expect("no panic"), ["ao-1", ""]);
    let auth = world.get("/api/auth/health").await.body;
    assert_eq!(auth["status"], "healthy", "{auth}");
}

#[tokio::test]
async fn the_description_is_served() {
    let world = World::new().await;
    let served = world.send(request(None, Method::GET, "/openapi.json", None)).await;
    assert_eq!((served.status, &served.body["openapi"]), (StatusCode::OK, &json!("3.1.0")));
    assert!(served.body == ::api::document(), "what is served is what is committed");
}
