//! The layers around a router, in process.

mod support;

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use serde::Deserialize;
use support::{Answer, send};
use web::idempotency::IdempotencyKey;
use web::json::Json;
use web::kit::{KitConfig, layers};
use web::page::{Page, PageQuery};
use web::path::Path;
use web::problem::Problem;
use web::query::Query;

#[derive(Debug, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    kind: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list(Query(filter): Query<Filter>) -> Result<Json<Page<u32>>, Problem> {
    let first = filter.page.after::<u32>()?.map_or(0, |last| last + 1);
    let rows =
        (first..first + u32::try_from(filter.page.fetch()).expect("small")).filter(|n| *n < 5).collect();
    assert!(filter.kind.is_none_or(|kind| kind == "any"));
    Ok(Json(Page::cut(&filter.page, rows, |last| *last)))
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] std::fmt::Error);

fn router() -> Router {
    Router::new()
        .route("/things", post(|Json(thing): Json<Thing>| async move { Json(thing) }).get(list))
        .route("/things/{id}", get(|Path(id): Path<uuid::Uuid>| async move { id.to_string() }))
        .route("/key", post(|key: IdempotencyKey| async move { key.0.unwrap_or_else(|| "none".to_owned()) }))
        .route("/panic", get(async || -> &'static str { panic!("on purpose") }))
        .route("/slow", get(async || std::future::pending::<&'static str>().await))
        .route("/broken", get(async || Problem::internal(&Outer(std::fmt::Error))))
        .route(
            "/busy",
            post(async || {
                Problem::conflict("sync_already_in_progress", "it runs").with("job_id", 7).with("status", 1)
            }),
        )
}

async fn ask(request: Request<String>) -> Answer {
    let config = KitConfig {
        body_limit: 100,
        timeout: Duration::from_millis(200),
        allowed_origins: vec!["https://app.example".parse().expect("an origin")],
        ..KitConfig::default()
    };
    send(&layers(router(), config), request).await
}

fn post_json(path: &str, body: &str) -> Request<String> {
    Request::post(path).header("content-type", "application/json").body(body.to_owned()).expect("a request")
}

fn get_path(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).expect("a request")
}

#[tokio::test]
async fn every_error_is_a_problem_with_ids() {
    for (request, status, code) in [
        (get_path("/nowhere"), 404, "not_found"),
        (get_path("/busy"), 405, "method_not_allowed"),
        (get_path("/panic"), 500, "internal"),
        (get_path("/slow"), 504, "timeout"),
        (get_path("/broken"), 500, "internal"),
        (get_path("/things/7"), 400, "bad_request"),
        (get_path("/things?limit=0"), 422, "invalid_request"),
        (get_path("/things?cursor=x"), 422, "invalid_request"),
        (get_path("/things?colour=red"), 422, "invalid_request"),
        (post_json("/busy", ""), 409, "sync_already_in_progress"),
        (post_json("/things", "{"), 400, "malformed_json"),
        (post_json("/things", r#"{"name":"a","size":1}"#), 422, "invalid_request"),
        (post_json("/things", &format!(r#"{{"name":"{}"}}"#, "a".repeat(100))), 413, "body_too_large"),
        (Request::post("/things").body("{}".to_owned()).expect("a request"), 415, "unsupported_media_type"),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = ask(request).await;
        let body = answer.json();
        assert_eq!(answer.status.as_u16(), status, "{what}: {body}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
        assert_eq!(body["status"], status, "{what}");
        assert_eq!(body["code"], code, "{what}: {body}");
        assert!(body["title"].is_string() && body["type"].is_string(), "{what}: {body}");
        assert_eq!(body["trace_id"], answer.header("x-trace-id"), "{what}");
        assert_eq!(answer.header("x-trace-id").len(), 32, "{what}");
        assert!(!answer.header("x-request-id").is_empty(), "{what}");
        assert!(!answer.body.contains("outer"), "nothing leaks: {}", answer.body);
    }
}

#[tokio::test]
async fn fields_at_fault_and_further_members_are_named() {
    let answer = ask(post_json("/things", r#"{"name":"a","size":1}"#)).await;
    assert_eq!(answer.json()["errors"][0]["field"], "size", "{}", answer.body);
    for (path, field) in [
        ("/things?limit=201", "limit"),
        ("/things?limit=many", "limit"),
        ("/things?cursor=x", "cursor"),
        ("/things?colour=red", "colour"),
        ("/things?kind=any&kind=any", "kind"),
    ] {
        let answer = ask(get_path(path)).await;
        assert_eq!(answer.json()["errors"][0]["field"], field, "{path}: {}", answer.body);
    }
    let busy = ask(post_json("/busy", "")).await.json();
    assert_eq!((busy["job_id"].as_u64(), busy["status"].as_u64()), (Some(7), Some(409)));
    assert_eq!(ask(get_path("/busy")).await.header("allow"), "POST");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let mut seen = Vec::new();
    let mut path = "/things?limit=2&kind=any".to_owned();
    loop {
        let answer = ask(get_path(&path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let body = answer.json();
        seen.extend(body["items"].as_array().expect("items").iter().filter_map(serde_json::Value::as_u64));
        let Some(cursor) = body["next_cursor"].as_str() else { break };
        path = format!("/things?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn incoming_ids_are_kept_when_they_are_harmless() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    for (name, value) in [("traceparent", parent.as_str()), ("x-trace-id", trace)] {
        let mut request = get_path("/nowhere");
        request.headers_mut().insert(name, value.parse().expect("a value"));
        request.headers_mut().insert("x-request-id", "req-1".parse().expect("a value"));
        let answer = ask(request).await;
        assert_eq!(answer.header("x-trace-id"), trace);
        assert_eq!(answer.header("x-request-id"), "req-1");
        assert_eq!(answer.json()["trace_id"], trace);
    }
    let mut request = get_path("/nowhere");
    request.headers_mut().insert("x-request-id", "{\"injected\": true}".parse().expect("a value"));
    request.headers_mut().insert("x-trace-id", "nonsense".parse().expect("a value"));
    let answer = ask(request).await;
    assert!(uuid::Uuid::parse_str(answer.header("x-request-id")).is_ok());
    assert_eq!(answer.header("x-trace-id").len(), 32);
}

#[tokio::test]
async fn idempotency_keys_are_checked() {
    for (key, status, body) in [
        (None, 200, Some("none")),
        (Some("order-17"), 200, Some("order-17")),
        (Some("two words"), 400, None),
        (Some(""), 400, None),
        (Some(&*"k".repeat(256)), 400, None),
    ] {
        let mut request = post_json("/key", "");
        if let Some(key) = key {
            request.headers_mut().insert("idempotency-key", key.parse().expect("a value"));
        }
        let answer = ask(request).await;
        assert_eq!(answer.status.as_u16(), status, "{key:?}");
        assert!(body.is_none_or(|body| body == answer.body), "{key:?}");
    }
}

#[tokio::test]
async fn browsers_of_allowed_origins_may_read() {
    for (origin, allowed) in [("https://app.example", true), ("https://evil.example", false)] {
        let request = Request::options("/things")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .body(String::new())
            .expect("a request");
        let answer = ask(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin") == origin, allowed);
    }
}
