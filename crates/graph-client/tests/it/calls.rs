//! Calls against a scripted Graph.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use graph_client::{BatchRequest, DeltaCursor, FolderRef, GraphErrorKind, ItemRef, NextLink};
use serde_json::{Value, json};

use crate::support::Graph;

fn ok(body: Value) -> Response {
    Json(body).into_response()
}

#[tokio::test]
async fn a_delta_round_follows_links_verbatim() {
    let graph = Graph::start(|asked| match asked.number {
        0 => ok(json!({"value": [{"id": "r", "root": {}, "folder": {}}],
            "@odata.nextLink": format!("{}/drives/d/root/delta(token='a%2Bb')?$top=2", asked.base)})),
        1 => ok(json!({"value": [], "@odata.nextLink": format!("{}/x?(token='2')", asked.base)})),
        _ => ok(json!({"value": [{"id": "f", "deleted": {}}, {"name": "poison"}],
            "@odata.deltaLink": format!("{}/delta?token=3", asked.base)})),
    })
    .await;
    let first = graph.client.delta_page("b!d", DeltaCursor::Start, 200).await.expect("a page");
    let NextLink::Next(link) = first.next else { panic!("more pages") };
    let second = graph.client.delta_page("b!d", DeltaCursor::Link(&link), 200).await.expect("a page");
    assert!(second.items.is_empty(), "an empty page with a link is legal");
    let NextLink::Next(link) = second.next else { panic!("more pages") };
    let third = graph.client.delta_page("b!d", DeltaCursor::Link(&link), 200).await.expect("a page");
    assert!(matches!(third.next, NextLink::Delta(_)));
    assert_eq!((third.items.len(), third.poison.len()), (1, 1));
    let seen = graph.seen();
    assert!(
        seen[0].starts_with("GET /v1.0/drives/b!d/root/delta?$select=id,") && seen[0].ends_with("&$top=200")
    );
    assert_eq!(seen[1], "GET /v1.0/drives/d/root/delta(token='a%2Bb')?$top=2");
}

#[tokio::test]
async fn no_token_goes_to_a_foreign_host() {
    let graph = Graph::start(|_| ok(json!({}))).await;
    let error = graph
        .client
        .delta_page("d", DeltaCursor::Link("http://evil.invalid/delta"), 1)
        .await
        .expect_err("no");
    assert_eq!((error.kind, &*error.code), (GraphErrorKind::BadLink, "foreignHost"));
    let error = graph.client.children("d", FolderRef::Link("not a link:"), 1).await;
    assert!(error.is_err() || graph.seen().len() == 1, "relative links stay on the host");
}

#[tokio::test]
async fn gone_carries_its_location() {
    let graph = Graph::start(|asked| {
        let location = format!("{}/drives/d/root/delta?token=new", asked.base);
        let body = json!({"error": {"code": "resyncRequired", "innerError": {"code": "resyncChangesUploadDifferences"}}});
        (StatusCode::GONE, [("location", location)], Json(body)).into_response()
    })
    .await;
    let link = format!("{}/delta?token=old", graph.base);
    let error = graph.client.delta_page("d", DeltaCursor::Link(&link), 1).await.expect_err("gone");
    assert_eq!(
        error.kind,
        GraphErrorKind::Resync {
            instruction: Some("resyncChangesUploadDifferences"),
            location: Some(format!("{}/drives/d/root/delta?token=new", graph.base).into()),
        }
    );
    assert_eq!(graph.seen().len(), 1);
}

#[tokio::test]
async fn malformed_answers_are_asked_for_again() {
    let graph = Graph::start(|asked| match asked.number {
        0 => "{\"value\":[{\"id\":\"a\"".into_response(),
        1 => "<html>".into_response(),
        _ => ok(json!({"value": [], "@odata.deltaLink": "x"})),
    })
    .await;
    graph.client.delta_page("d", DeltaCursor::Start, 1).await.expect("the third answer");
    let graph = Graph::start(|_| ok(json!({"value": []}))).await;
    let error = graph.client.delta_page("d", DeltaCursor::Start, 1).await.expect_err("no link");
    assert_eq!((error.kind, &*error.code), (GraphErrorKind::Unavailable, "malformedAnswer"));
}

#[tokio::test]
async fn paths_are_addressed_as_documented() {
    let graph = Graph::start(|asked| {
        if asked.line.contains("missing") {
            return StatusCode::NOT_FOUND.into_response();
        }
        ok(json!({"value": [], "id": "i", "folder": {}}))
    })
    .await;
    let client = &graph.client;
    client
        .children("d", FolderRef::Path("/OneDrive-JLM/01 - ETUDES AO/#%'"), 5)
        .await
        .expect("a page")
        .expect("found");
    client.children("d", FolderRef::Path("/"), 5).await.expect("a page").expect("found");
    client.children("d", FolderRef::Id("01!X"), 5).await.expect("a page").expect("found");
    client.item("d", ItemRef::Path("a: b/ü")).await.expect("an answer").expect("found");
    assert_eq!(client.item("d", ItemRef::Path("missing")).await.expect("an answer"), None);
    assert_eq!(client.children("d", FolderRef::Path("missing"), 5).await.expect("an answer"), None);
    for path in ["..", "a/../b", "./a"] {
        let error = client.item("d", ItemRef::Path(path)).await.expect_err("a dot segment");
        assert_eq!(&*error.code, "invalidPath");
    }
    let error = client.item("..", ItemRef::Id("..")).await.expect_err("a dot segment");
    assert_eq!(&*error.code, "invalidPath");
    let seen: Vec<String> =
        graph.seen().iter().map(|line| line.split('?').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(
        seen,
        [
            "GET /v1.0/drives/d/root:/OneDrive-JLM/01%20-%20ETUDES%20AO/%23%25':/children",
            "GET /v1.0/drives/d/root/children",
            "GET /v1.0/drives/d/items/01!X/children",
            "GET /v1.0/drives/d/root:/a%3A%20b/%C3%BC",
            "GET /v1.0/drives/d/root:/missing",
            "GET /v1.0/drives/d/root:/missing:/children",
        ]
    );
}

#[tokio::test]
async fn a_drive_has_a_root() {
    let graph = Graph::start(|asked| {
        if asked.line.contains("/root") {
            return ok(json!({"id": "root-1"}));
        }
        ok(json!({"id": "d", "driveType": "brandNew", "name": null}))
    })
    .await;
    let drive = graph.client.drive("d").await.expect("a drive");
    assert_eq!((drive.root_item_id.as_str(), drive.drive_type.as_str()), ("root-1", "brandNew"));
}

#[tokio::test]
async fn each_item_of_a_batch_has_its_own_outcome() {
    let graph = Graph::start(|asked| {
        assert!(asked.body.contains("/drives/d/items/2"));
        ok(json!({"responses": [
            {"id": "2", "status": 404, "body": {"error": {"code": "itemNotFound"}}},
            {"id": "1", "status": 200, "body": {"id": "1"}},
            {"id": "3", "status": 429, "headers": {"Retry-After": "0.2"}, "body": {"error": {"code": "activityLimitReached"}}},
        ]}))
    })
    .await;
    let requests: Vec<BatchRequest> =
        (1..=4).map(|n| BatchRequest { id: n.to_string(), path: format!("/drives/d/items/{n}") }).collect();
    let outcomes = graph.client.batch(&requests).await.expect("an answer");
    let ids: Vec<&str> = outcomes.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    assert!(outcomes[0].result.is_ok());
    let kind = |n: usize| &outcomes[n].result.as_ref().expect_err("a failure").kind;
    assert_eq!(*kind(1), GraphErrorKind::NotFound);
    assert!(matches!(kind(2), GraphErrorKind::Throttled { .. }));
    assert_eq!(*kind(3), GraphErrorKind::Unavailable, "an item without an answer is not a success");
    assert!(graph.client.provider().gate().window().await.is_some(), "a throttled item closes the fence");
    let many = vec![requests[0].clone(); 21];
    assert_eq!(graph.client.batch(&many).await.expect_err("too many").code.as_ref(), "batchTooLarge");
}
