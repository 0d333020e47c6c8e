//! The token source against a scripted Entra.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Provider, clock, entra, http, token};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::config::{Env, FromEnv};
use chassis::secret::Secret;
use outbound::token::{EntraConfig, EntraTokens, TokenError};

fn refuse(code: u32) -> Response {
    let body = serde_json::json!({
        "error": "invalid_client", "error_codes": [code],
        "error_description": format!("AADSTS{code}: no. Trace ID: x"),
    });
    (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
}

#[tokio::test]
async fn many_callers_one_request() {
    let provider = Provider::start(|seen| token(&format!("t{}", seen.number))).await;
    let tokens = EntraTokens::new(http(), entra(&provider.base, "s", None), clock());
    let answers = futures::future::join_all((0..50).map(|_| tokens.bearer())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().expose() == "t0"));
    assert_eq!(provider.count(), 1);
    tokens.refresh().await.unwrap();
    assert_eq!(tokens.bearer().await.unwrap().expose(), "t1");
    let status = tokens.status();
    assert!(status.authenticated && status.expires_at.is_some() && status.active_secret == "current");
}

#[tokio::test]
async fn the_request_is_what_entra_documents() {
    let provider = Provider::start(|seen| {
        assert_eq!(seen.path, "/contoso/oauth2/v2.0/token");
        assert_eq!(seen.field("client_id"), "app");
        assert_eq!(seen.field("client_secret"), "a b&c");
        assert_eq!(seen.field("scope"), "https://graph.microsoft.com/.default");
        assert_eq!(seen.field("grant_type"), "client_credentials");
        token("t")
    })
    .await;
    let tokens = EntraTokens::new(http(), entra(&provider.base, "a b&c", None), clock());
    tokens.bearer().await.unwrap();
}

#[tokio::test]
async fn the_next_secret_takes_over() {
    let provider = Provider::start(|seen| match seen.field("client_secret").as_str() {
        "new" => token("t"),
        _ => refuse(7_000_222),
    })
    .await;
    let tokens = EntraTokens::new(http(), entra(&provider.base, "old", Some("new")), clock());
    assert_eq!(tokens.bearer().await.unwrap().expose(), "t");
    assert_eq!(tokens.status().active_secret, "next");
    assert_eq!(provider.count(), 2);
    tokens.refresh().await.unwrap();
    assert_eq!(provider.count(), 3, "the refused secret is not shown again");
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_is_not_hammered() {
    let provider = Provider::start(|_| refuse(7_000_215)).await;
    let tokens = EntraTokens::new(http(), entra(&provider.base, "wrong", None), clock());
    for _ in 0..10 {
        let error = tokens.bearer().await.unwrap_err();
        assert_eq!(error.code(), "AADSTS7000215");
        assert!(error.to_string().contains("AZURE_CLIENT_SECRET"), "{error}");
        assert!(!error.to_string().contains("wrong") && !format!("{tokens:?}").contains("wrong"));
    }
    assert_eq!(provider.count(), 1);
    assert!(!tokens.status().authenticated);
}

#[tokio::test]
async fn a_new_secret_in_the_file_is_used_at_once() {
    let provider = Provider::start(|seen| match seen.field("client_secret").as_str() {
        "right" => token("t"),
        _ => refuse(7_000_215),
    })
    .await;
    let file = std::env::temp_dir().join(format!("syncline-secret-{}", chassis::ids::new_id()));
    std::fs::write(&file, "wrong\n").unwrap();
    let path = file.to_string_lossy().into_owned();
    let login = provider.base.to_string();
    let mut env = Env::from_pairs([
        ("AZURE_TENANT_ID", "contoso"),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_CLIENT_SECRET_FILE", path.as_str()),
        ("MICROSOFT_LOGIN_BASE_URL", login.as_str()),
    ]);
    let tokens = EntraTokens::new(http(), EntraConfig::from_env(&mut env), clock());
    env.finish().unwrap();
    assert!(tokens.bearer().await.is_err());
    std::fs::write(&file, "right, that is longer").unwrap();
    std::fs::write(&file, "right").unwrap();
    let mended = async {
        // The file's stamp is looked at once a second.
        while tokens.bearer().await.is_err() {
            chassis::time::pause(Duration::from_millis(50)).await;
        }
    };
    chassis::time::deadline("the new secret", Duration::from_secs(5), mended).await.unwrap();
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn unconfigured_names_what_is_missing() {
    let mut env = Env::from_pairs([("AZURE_TENANT_ID", "contoso")]);
    let tokens = EntraTokens::new(http(), EntraConfig::from_env(&mut env), clock());
    let TokenError::NotConfigured { missing } = tokens.bearer().await.unwrap_err() else {
        panic!("nothing is configured");
    };
    assert_eq!(missing, ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]);
}

#[tokio::test]
async fn a_challenge_is_answered_by_the_next_token() {
    const CAPABLE: &str = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    let provider = Provider::start(|seen| token(&format!("t{}{}", seen.number, seen.field("claims")))).await;
    let tokens = Arc::new(EntraTokens::new(http(), entra(&provider.base, "s", None), clock()));
    let first = tokens.bearer().await.unwrap();
    assert_eq!(first.expose(), format!("t0{CAPABLE}"), "the capability is always sent");
    let challenge = r#"{"access_token":{"nbf":{"essential":true}}}"#;
    let answer = r#"t1{"access_token":{"nbf":{"essential":true},"xms_cc":{"values":["cp1"]}}}"#;
    tokens.discard(&first, Some(challenge.into()));
    assert_eq!(tokens.bearer().await.unwrap().expose(), answer);
    tokens.discard(&first, None);
    assert_eq!(provider.count(), 2, "a late refusal of the old token costs nothing");
    tokens.discard(&Secret::from(answer), None);
    assert_eq!(tokens.bearer().await.unwrap().expose(), format!("t2{CAPABLE}"), "claims are sent once");
}
