use emulator::{App, Config, DEMO_CLIENT, DEMO_TENANT};
use http::Method;

use crate::support::{Stage, exchange};

async fn ask(stage: &Stage, tenant: &str, client: &str, secret: &str) -> crate::support::Answer {
    let url = format!("{}/{tenant}/oauth2/v2.0/token", stage.emulator.login_base_url());
    let form = format!(
        "client_id={client}&client_secret={secret}&grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"
    );
    exchange(Method::POST, &url, &[("content-type", "application/x-www-form-urlencoded")], form)
        .await
        .unwrap()
}

#[tokio::test]
async fn answers_with_tokens_and_with_entra_errors() {
    let app = App {
        tenant: DEMO_TENANT.into(),
        client_id: DEMO_CLIENT.into(),
        secrets: vec!["one".into(), "two~x".into(), "expired:old".into()],
    };
    let stage = Stage::start(Config { apps: vec![app], ..Config::default() }).await;
    for secret in ["one", "two%7Ex"] {
        let body = ask(&stage, DEMO_TENANT, DEMO_CLIENT, secret).await.expect(200).json();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 3599);
        assert!(body.get("refresh_token").is_none());
    }
    for (tenant, client, secret, status, code) in [
        (DEMO_TENANT, DEMO_CLIENT, "wrong", 401, 7_000_215),
        (DEMO_TENANT, DEMO_CLIENT, "old", 401, 7_000_222),
        (DEMO_TENANT, "nobody", "one", 400, 700_016),
        ("nowhere", DEMO_CLIENT, "one", 400, 90_002),
    ] {
        let body = ask(&stage, tenant, client, secret).await.expect(status).json();
        assert_eq!(body["error_codes"], serde_json::json!([code]));
        assert!(
            body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{code}: ")),
            "{body}"
        );
        for field in ["error", "timestamp", "trace_id", "correlation_id"] {
            assert!(body[field].is_string(), "{field}");
        }
    }
    stage.emulator.stop().await;
}

#[tokio::test]
async fn graph_wants_a_good_token() {
    let mut stage = Stage::generated(5).await;
    stage.get("/drives/d").await.expect(200);
    let good = std::mem::replace(&mut stage.token, "nonsense".into());
    let refused = stage.get("/drives/d").await.expect(401);
    assert_eq!(refused.code(), "InvalidAuthenticationToken");
    assert!(refused.header("www-authenticate").starts_with("Bearer"));

    stage.token.clone_from(&good);
    stage.control(Method::POST, "/clock", r#"{"advance_seconds":3600}"#).await.expect(200);
    stage.get("/drives/d").await.expect(401);

    stage.renew().await;
    stage.get("/drives/d").await.expect(200);
    stage.control(Method::POST, "/tokens/revoke", r#"{"claims_challenge":true}"#).await.expect(204);
    let challenged = stage.get("/drives/d").await.expect(401);
    assert!(challenged.header("www-authenticate").contains("error=\"insufficient_claims\", claims=\""));
    // A token that carries the claims is taken.
    let url = format!("{}/{DEMO_TENANT}/oauth2/v2.0/token", stage.emulator.login_base_url());
    let form = |claims: &str| {
        format!(
            "client_id={DEMO_CLIENT}&client_secret=demo-secret&grant_type=client_credentials&scope=x%2F.default{claims}"
        )
    };
    for (claims, status) in [("", 401), ("&claims=%7B%7D", 200)] {
        let answer = exchange(Method::POST, &url, &[], form(claims)).await.unwrap().expect(200).json();
        stage.token = answer["access_token"].as_str().unwrap().to_owned();
        stage.get("/drives/d").await.expect(status);
    }
    stage.emulator.stop().await;
}

#[tokio::test]
async fn secrets_can_be_changed_while_running() {
    let stage = Stage::generated(1).await;
    let app = format!(r#"{{"tenant":"{DEMO_TENANT}","client_id":"{DEMO_CLIENT}","secrets":["next"]}}"#);
    ask(&stage, DEMO_TENANT, DEMO_CLIENT, "demo-secret").await.expect(200);
    stage.control(Method::PUT, "/apps", &app).await.expect(204);
    ask(&stage, DEMO_TENANT, DEMO_CLIENT, "demo-secret").await.expect(401);
    ask(&stage, DEMO_TENANT, DEMO_CLIENT, "next").await.expect(200);
    // Cached tokens outlive a removed secret, as in life.
    stage.get("/drives/d").await.expect(200);
    stage.emulator.stop().await;
}
