//! The plain client against a server that misbehaves.

use std::time::Duration;

use crate::support::{Provider, http};
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Redirect, Response};
use futures::StreamExt;
use outbound::http::{HttpClient, HttpError, Request};

fn chunks(count: usize, then_break: bool) -> Response {
    let good = (0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 256])));
    let end = then_break.then(|| Err(std::io::Error::other("broken")));
    Body::from_stream(futures::stream::iter(good.chain(end))).into_response()
}

#[tokio::test]
async fn limits_are_kept() {
    let provider = Provider::start(|seen| match seen.path.as_str() {
        "/small" => chunks(4, false),
        "/large" => chunks(5, false),
        "/announced" => vec![b'x'; 2_000].into_response(),
        "/broken" => chunks(2, true),
        "/redirect" => Redirect::temporary("http://example.invalid/").into_response(),
        _ => Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>().boxed())
            .into_response(),
    })
    .await;
    let http = http();
    let get = |path: &str| http.send(Request::get(provider.url(path)));
    assert_eq!(get("/small").await.unwrap().body.len(), 1_024);
    assert!(matches!(get("/large").await, Err(HttpError::TooLarge { limit: 1_024, .. })));
    assert!(matches!(get("/announced").await, Err(HttpError::TooLarge { .. })));
    assert!(matches!(get("/broken").await, Err(HttpError::Broken { .. })));
    assert_eq!(get("/redirect").await.unwrap().status.as_u16(), 307);
    let slow = Request::get(provider.url("/slow?secret=1")).deadline(Duration::from_millis(100));
    let error = http.send(slow).await.unwrap_err();
    assert!(matches!(error, HttpError::Timeout { .. }));
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn nobody_listens() {
    let client = HttpClient::builder().connect_timeout(Duration::from_secs(1)).build().unwrap();
    let error =
        client.get_json::<serde_json::Value>("http://127.0.0.1:1/x?y=z".parse().unwrap()).await.unwrap_err();
    assert!(error.certainly_not_processed(), "{error:?}");
}

#[tokio::test]
async fn traffic_is_decorated() {
    let provider = Provider::start(|seen| seen.header("user-agent").to_owned().into_response()).await;
    let answer = http().send(Request::get(provider.url("/"))).await.unwrap();
    assert_eq!(&answer.body[..], b"NONISV|Syncline|Syncline/1.0");
}
