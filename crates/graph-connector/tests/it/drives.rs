//! Delta, children and items through the contract.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use contracts::fault::from_status;
use contracts::graph::v1::{
    ClearCacheRequest, DeltaPageRequest, FaultKind, GetItemRequest, ItemKind, ListChildrenRequest,
    delta_page_reply, delta_page_request, get_item_request, list_children_request,
};
use serde_json::json;

use crate::support::{World, context, ok};

fn start(drive: &str) -> DeltaPageRequest {
    let cursor = Some(delta_page_request::Cursor::Start(true));
    DeltaPageRequest { context: Some(context("", false)), drive_id: drive.into(), cursor, page_size: 0 }
}

#[tokio::test]
async fn a_page_arrives_whole() {
    let mut world = World::start(&[("GRAPH_PAGE_SIZE", "7")], |asked| {
        assert!(asked.path.ends_with("&$top=7"), "{}", asked.path);
        ok(json!({
            "value": [
                {"id": "r", "root": {}, "folder": {}, "name": "root"},
                {"id": "f", "file": {"mimeType": "text/plain", "hashes": {"quickXorHash": "AA=="}}, "name": "a#%.txt",
                 "size": 3, "eTag": "\"1\"", "parentReference": {"id": "r", "driveId": "d"},
                 "lastModifiedDateTime": "2024-01-01T00:00:00.5Z", "webUrl": "https://x"},
                {"id": "gone", "deleted": {"state": "deleted"}},
                {"id": "bad", "name": 7, "file": {}},
            ],
            "@odata.deltaLink": format!("{}/drives/d/root/delta?token=1", asked.base),
        }))
    })
    .await;
    let reply = world.client.delta_page(start("d")).await.expect("a page").into_inner();
    assert_eq!(reply.items.len(), 3);
    let file = &reply.items[1];
    assert_eq!((file.kind(), file.name.as_deref(), file.size), (ItemKind::File, Some("a#%.txt"), Some(3)));
    assert_eq!((file.parent_id.as_deref(), file.c_tag.as_deref()), (Some("r"), None));
    assert_eq!(file.modified_at_us, Some(1_704_067_200_500_000));
    assert!(reply.items[2].deleted);
    assert_eq!((reply.poison[0].item_id.as_str(), reply.poison.len()), ("bad", 1));
    assert!(matches!(reply.next, Some(delta_page_reply::Next::DeltaLink(link)) if link.ends_with("token=1")));
}

#[tokio::test]
async fn faults_travel_with_their_details() {
    let mut world = World::start(&[], |asked| {
        let drive = asked.path.split('/').nth(2).unwrap_or_default().to_owned();
        match drive.as_str() {
            "gone" => {
                let location = format!("{}/fresh", asked.base);
                let body = json!({"error": {"code": "resyncChangesApplyDifferences", "message": "m"}});
                (StatusCode::GONE, [("location", location)], Json(body)).into_response()
            }
            "throttled" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "77.5")]).into_response(),
            "forbidden" => {
                (StatusCode::FORBIDDEN, Json(json!({"error": {"code": "accessDenied"}}))).into_response()
            }
            "locked" => StatusCode::LOCKED.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    })
    .await;
    let mut fault =
        async |drive: &str| from_status(&world.client.delta_page(start(drive)).await.expect_err(drive));
    let gone = fault("gone").await;
    assert_eq!(gone.kind(), FaultKind::Resync);
    assert_eq!((gone.resync_instruction.as_str(), gone.http_status), ("resyncChangesApplyDifferences", 410));
    assert!(gone.resync_location.ends_with("/v1.0/fresh"));
    let forbidden = fault("forbidden").await;
    assert_eq!((forbidden.kind(), forbidden.code.as_str()), (FaultKind::Forbidden, "accessDenied"));
    assert!(forbidden.message.contains("Files.Read.All"), "{}", forbidden.message);
    assert_eq!(fault("locked").await.kind(), FaultKind::Locked);
    assert_eq!(fault("unknown").await.kind(), FaultKind::NotFound);
    assert_eq!(fault("").await.code, "invalidRequest");
    let throttled = fault("throttled").await;
    assert_eq!(throttled.kind(), FaultKind::Throttled);
    assert!((76_000..=77_500).contains(&throttled.retry_after_ms), "{}", throttled.retry_after_ms);
    assert_eq!(fault("unknown").await.kind(), FaultKind::Throttled, "the window is everybody's");

    let link = Some(delta_page_request::Cursor::Link("https://evil.invalid/delta".into()));
    let foreign = DeltaPageRequest { cursor: link, ..start("d") };
    let fault = from_status(&world.client.delta_page(foreign).await.expect_err("foreign"));
    assert_eq!((fault.kind(), fault.code.as_str()), (FaultKind::BadLink, "foreignHost"));
}

#[tokio::test]
async fn scoped_reads_are_cached_until_cleared() {
    let mut world = World::start(&[], |asked| {
        if asked.path.contains("missing") {
            return StatusCode::NOT_FOUND.into_response();
        }
        ok(json!({"id": "i", "folder": {}, "name": "n", "value": [{"id": "c", "file": {}}]}))
    })
    .await;
    let item = |scope: &str, bypass: bool, id: &str| GetItemRequest {
        context: Some(context(scope, bypass)),
        drive_id: "d".into(),
        item: Some(get_item_request::Item::ItemId(id.into())),
    };
    let list = |scope: &str| ListChildrenRequest {
        context: Some(context(scope, false)),
        drive_id: "d".into(),
        folder: Some(list_children_request::Folder::Path("a/b c".into())),
    };
    for _ in 0..3 {
        let reply = world.client.get_item(item("ao-1", false, "i")).await.expect("a reply").into_inner();
        assert_eq!(reply.item.expect("found").id, "i");
        let reply = world.client.list_children(list("ao-1")).await.expect("a reply").into_inner();
        assert!(reply.found && reply.items[0].id == "c");
    }
    assert_eq!(world.seen(), ["GET /drives/d/items/i", "GET /drives/d/root:/a/b%20c:/children"]);
    world.client.get_item(item("ao-1", true, "i")).await.expect("a reply");
    world.client.get_item(item("ao-2", false, "i")).await.expect("a reply");
    world.client.get_item(item("", false, "i")).await.expect("a reply");
    assert_eq!(world.seen().len(), 5, "bypass, another scope and no scope ask");
    for _ in 0..2 {
        let reply =
            world.client.get_item(item("ao-1", false, "missing")).await.expect("a reply").into_inner();
        assert_eq!(reply.item, None);
    }
    assert_eq!(world.seen().len(), 7, "what is missing is not remembered");
    let clear = ClearCacheRequest { scope: "ao-1".into() };
    assert_eq!(world.client.clear_cache(clear).await.expect("a reply").into_inner().cleared, 2);
    world.client.get_item(item("ao-1", false, "i")).await.expect("a reply");
    assert_eq!(world.seen().len(), 8);
}
