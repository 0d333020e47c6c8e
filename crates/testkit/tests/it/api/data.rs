//! AOs, documents, drives, tenancy and roles.

use http::{Method, StatusCode};
use serde_json::json;
use web::auth::Role;

use super::{World, request, token};

#[tokio::test]
async fn an_ao_has_one_reference_whatever_its_case() {
    let world = World::new().await;
    let created = world.put("/api/aos/ao-2503", json!({ "reference": "2503-É", "title": "Gare" })).await;
    assert_eq!((created.status, &created.body["documents"]), (StatusCode::CREATED, &json!(0)), "{created:?}");
    let again = world.put("/api/aos/ao-2503", json!({ "reference": "2503-É" })).await;
    assert_eq!((again.status, &again.body["title"]), (StatusCode::OK, &json!("Gare")), "{again:?}");
    let other = world.put("/api/aos/ao-2", json!({ "reference": "2503-e\u{301}" })).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert_eq!(
        (&other.body["code"], &other.body["ao_id"]),
        (&json!("duplicate_reference"), &json!("ao-2503"))
    );

    for (body, field) in [
        (json!({ "reference": "a", "colour": "red" }), "colour"),
        (json!({ "title": "a" }), "reference"),
        (json!({ "reference": "a/b" }), "reference"),
        (json!({ "reference": "x", "drive_id": "d!unknown" }), "drive_id"),
    ] {
        let refused = world.put("/api/aos/ao-9", body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
        assert_eq!(refused.body["errors"][0]["field"], field, "{refused:?}");
    }
    let list = world.get("/api/aos").await;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1), "{list:?}");
}

#[tokio::test]
async fn lists_page_to_their_end() {
    let world = World::new().await;
    for n in 0..5 {
        world.put(&format!("/api/aos/ao-{n}"), json!({ "reference": n.to_string() })).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/api/aos?limit=2".to_owned());
    loop {
        let page = world.get(&path).await;
        for ao in page.body["items"].as_array().expect("items") {
            seen.push(ao["id"].as_str().expect("an id").to_owned());
        }
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/aos?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["ao-0", "ao-1", "ao-2", "ao-3", "ao-4"]);
    for path in ["/api/aos?limit=0", "/api/aos?limit=201", "/api/aos?cursor=%21", "/api/sync/jobs?limit=201"]
    {
        assert_eq!(world.get(path).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
}

#[tokio::test]
async fn documents_are_listed_by_ao_and_category() {
    let world = World::new().await;
    world.put("/api/aos/ao-1", json!({ "reference": "1" })).await;
    let company = world.company;
    world
        .db
        .execute(&format!(
            "INSERT INTO documents (company_id, entity_id, name, category, path, onedrive_id, size, deleted_at)
             SELECT '{company}', 'ao-1', 'plan ' || n, CASE WHEN n % 2 = 0 THEN 'A' ELSE 'B' END, 'p', 'i' || n, n,
                 CASE WHEN n = 6 THEN now() END
             FROM generate_series(1, 6) n"
        ))
        .await;
    let count = async |path: &str| world.get(path).await.body["items"].as_array().map_or(0, Vec::len);
    assert_eq!(count("/api/aos/ao-1/documents").await, 5);
    assert_eq!(count("/api/aos/ao-1/documents?deleted=true").await, 6);
    assert_eq!(count("/api/aos/ao-1/documents?category=A").await, 2);
    assert_eq!(count("/api/documents?name=PLAN%203").await, 1);
    let unknown = world.get("/api/aos/ao-2/documents").await;
    assert_eq!((unknown.status, &unknown.body["code"]), (StatusCode::NOT_FOUND, &json!("ao_not_found")));
}

#[tokio::test]
async fn a_company_sees_its_own_rows_alone() {
    let world = World::new().await;
    let other = world.db.company().await;
    world.put("/api/aos/ao-1", json!({ "reference": "1" })).await;
    world.put("/api/drives/d!1", json!({})).await;
    let stranger = token(other, Role::Owner);
    for path in ["/api/aos", "/api/drives", "/api/sync/jobs", "/api/documents", "/api/webhooks"] {
        let list = world.send(request(Some(&stranger), Method::GET, path, None)).await;
        assert_eq!(list.body["items"], json!([]), "{path}");
    }
    let taken = world.send(request(Some(&stranger), Method::PUT, "/api/drives/d!1", Some(json!({})))).await;
    assert_eq!((taken.status, &taken.body["code"]), (StatusCode::CONFLICT, &json!("drive_taken")));
    let same =
        world.send(request(Some(&stranger), Method::PUT, "/api/aos/ao-1", Some(json!({ "reference": "1" }))));
    assert_eq!(same.await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_new_drive_is_read_and_subscribed_to_at_once() {
    let world = World::new().await;
    let created = world.put("/api/drives/b!x", json!({ "name": "Archive" })).await;
    assert_eq!(
        (created.status, &created.body["enabled"]),
        (StatusCode::CREATED, &json!(true)),
        "{created:?}"
    );
    let kinds = world.db.rows("SELECT kind FROM jobs ORDER BY kind").await;
    assert_eq!(
        kinds,
        [
            json!({ "kind": "documents.sync_drive" }),
            json!({ "kind": "maintenance.ensure_drive_subscription" })
        ]
    );
    assert_eq!(world.db.number("SELECT count(*) FROM outbox").await, 2);
    let off = world.put("/api/drives/b!x", json!({ "enabled": false })).await;
    assert_eq!(
        (off.status, &off.body["enabled"], &off.body["name"]),
        (StatusCode::OK, &json!(false), &json!("Archive"))
    );
    assert_eq!(world.db.number("SELECT count(*) FROM jobs").await, 2);
}

#[tokio::test]
async fn roles_open_doors() {
    let world = World::new().await;
    let anonymous = world.send(request(None, Method::GET, "/api/aos", None)).await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
    assert!(anonymous.headers.contains_key("www-authenticate"));
    assert_eq!(anonymous.headers["content-type"], "application/problem+json");
    for (role, method, path, status) in [
        (Role::Viewer, Method::POST, "/api/sync/manual", StatusCode::FORBIDDEN),
        (Role::Operator, Method::POST, "/api/sync/manual", StatusCode::ACCEPTED),
        (Role::Operator, Method::POST, "/api/sync/disable", StatusCode::FORBIDDEN),
        (Role::Operator, Method::GET, "/api/sync/config", StatusCode::FORBIDDEN),
        (Role::Admin, Method::GET, "/api/sync/config", StatusCode::OK),
        (Role::Viewer, Method::GET, "/api/sync/status", StatusCode::OK),
        (Role::Operator, Method::GET, "/api/webhooks", StatusCode::FORBIDDEN),
        (Role::Viewer, Method::GET, "/api/nothing", StatusCode::NOT_FOUND),
        (Role::Viewer, Method::DELETE, "/api/aos", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = world.call(role, method.clone(), path, None).await;
        assert_eq!(answer.status, status, "{role} {method} {path}: {answer:?}");
        for header in ["x-request-id", "x-trace-id"] {
            assert!(answer.headers.contains_key(header), "{path} lacks {header}");
        }
    }
}

#[tokio::test]
async fn a_token_of_no_company_can_write_nothing() {
    let world = World::new().await;
    let nobody = token(domain::ids::CompanyId(chassis::ids::new_id()), Role::Owner);
    let body = Some(json!({ "reference": "1" }));
    let answer = world.send(request(Some(&nobody), Method::PUT, "/api/aos/ao-1", body)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
}
