//! A secret that changes under load fails no request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use chassis::config::SecretSource;
use chassis::lifecycle::Tasks;
use chassis::secret::Secret;
use domain::throttle::Operation;
use outbound::http::Request;
use outbound::provider::Call;
use outbound::token::{EntraTokens, Rotation};

use crate::support::{Provider, client_with, clock, entra, http, is_token, token};

const READ: Call = Call::read("item", Operation::GetItem);

fn refused() -> axum::response::Response {
    let body = serde_json::json!({"error": "invalid_client", "error_codes": [7_000_215],
        "error_description": "AADSTS7000215: Invalid client secret provided."});
    (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
}

#[tokio::test]
async fn the_next_secret_is_proven_before_it_is_used() {
    let good = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&good);
    let provider = Provider::start(move |seen| match seen.field("client_secret").as_str() {
        "old" => token("from-old"),
        "new" if known.load(Ordering::SeqCst) => token("from-new"),
        _ => refused(),
    })
    .await;
    let tokens = EntraTokens::new(http(), entra(&provider.base, "old", Some("new")), clock());
    let mut failed = Vec::new();
    assert_eq!(
        tokens.rotate(&mut failed).await,
        Rotation::Unchanged,
        "the first token is the first call's matter"
    );
    tokens.bearer().await.unwrap();
    assert_eq!(tokens.rotate(&mut failed).await, Rotation::Refused("next"));
    assert_eq!(tokens.bearer().await.unwrap().expose(), "from-old");
    assert!(tokens.status().authenticated, "a secret that failed its proof harms nothing");
    let asked = provider.count();
    tokens.rotate(&mut failed).await;
    assert_eq!(provider.count(), asked, "a refused secret is left alone for a while");
    good.store(true, Ordering::SeqCst);
    failed.clear();
    assert_eq!(tokens.rotate(&mut failed).await, Rotation::Switched("next"));
    assert_eq!(tokens.bearer().await.unwrap().expose(), "from-new");
    assert_eq!(tokens.status().active_secret, "next");
    tokens.refresh().await.unwrap();
    assert_eq!(tokens.bearer().await.unwrap().expose(), "from-new", "it stays the first choice");
    assert_eq!(tokens.rotate(&mut failed).await, Rotation::Unchanged);
}

#[tokio::test]
async fn a_rotation_under_load_fails_no_request() {
    // What Entra and the API accept at the moment.
    let (secrets, tokens_ok) =
        (Arc::new(Mutex::new(vec!["old"])), Arc::new(Mutex::new(vec!["t-old".to_owned()])));
    let (known, accepted) = (Arc::clone(&secrets), Arc::clone(&tokens_ok));
    let provider = Provider::start(move |seen| {
        if is_token(&seen) {
            let secret = seen.field("client_secret");
            let good = known.lock().expect("lock").iter().any(|s| *s == secret);
            return if good { token(&format!("t-{secret}")) } else { refused() };
        }
        let bearer = seen.header("authorization").trim_start_matches("Bearer ").to_owned();
        let good = accepted.lock().expect("lock").contains(&bearer);
        if good { "ok".into_response() } else { StatusCode::UNAUTHORIZED.into_response() }
    })
    .await;
    let config = entra(&provider.base, "old", Some("new"));
    let next = config.next_secret.clone();
    assert!(next.is_some_and(|s: SecretSource| s.current() == Secret::from("new")));
    let tokens = Arc::new(EntraTokens::new(http(), config, clock()));
    let client = Arc::new(client_with(Arc::clone(&tokens)));
    let (stop, failures, calls) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks = Tasks::new();
    for _ in 0..8 {
        let (client, stop, failures, calls) =
            (Arc::clone(&client), Arc::clone(&stop), Arc::clone(&failures), Arc::clone(&calls));
        let url = provider.url("/item");
        tasks.spawn("load", async move {
            while !stop.load(Ordering::SeqCst) {
                let answer = client.call(&READ, Request::get(url.clone())).await;
                if !answer.is_ok_and(|a| a.status.is_success()) {
                    failures.fetch_add(1, Ordering::SeqCst);
                }
                calls.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let busy = |n: usize| {
        let calls = Arc::clone(&calls);
        async move {
            let until = calls.load(Ordering::SeqCst) + n;
            while calls.load(Ordering::SeqCst) < until {
                tokio::task::yield_now().await;
            }
        }
    };
    let mut failed = Vec::new();
    busy(50).await;
    assert_eq!(tokens.rotate(&mut failed).await, Rotation::Refused("next"), "not known to Entra yet");
    secrets.lock().expect("lock").push("new");
    tokens_ok.lock().expect("lock").push("t-new".into());
    failed.clear();
    assert_eq!(tokens.rotate(&mut failed).await, Rotation::Switched("next"));
    busy(50).await;
    // The old secret is deleted, and what it signed is revoked.
    secrets.lock().expect("lock").retain(|s| *s != "old");
    tokens_ok.lock().expect("lock").retain(|t| t != "t-old");
    busy(50).await;
    tokens.refresh().await.expect("the new secret carries on");
    busy(50).await;
    stop.store(true, Ordering::SeqCst);
    tasks.wait().await;
    assert_eq!(failures.load(Ordering::SeqCst), 0, "of {} calls", calls.load(Ordering::SeqCst));
}
