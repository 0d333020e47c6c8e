//! Operators' switches over REST.

use chassis::time::SystemClock;
use chrono::TimeDelta;
use domain::time::Clock;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use web::auth::Role;

use super::{NOWHERE, World, request, router, send, token};

const PATH: &str = "/api/flags/outward_writes";

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut items = list["items"].as_array().expect("a list").iter();
    items.find(|flag| flag["name"] == name).unwrap_or_else(|| panic!("no {name} in {list}"))
}

#[tokio::test]
async fn a_switch_is_thrown_recorded_and_put_back() {
    let world = World::new().await;
    let list = world.get("/api/flags").await.body;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(10), "{list}");
    assert_eq!(named(&list, "breaker.google")["enabled"], false, "not forced open");
    assert_eq!(named(&list, "purge")["enabled"], true);

    let until = (SystemClock.now() + TimeDelta::hours(2)).to_rfc3339();
    let body = json!({ "enabled": false, "reason": "a wrong template", "until": until });
    let off = world.put(PATH, body).await;
    assert_eq!(off.status, StatusCode::OK, "{off:?}");
    let list = world.get("/api/flags").await.body;
    let flag = named(&list, "outward_writes");
    assert_eq!(
        (&flag["enabled"], &flag["active"], &flag["reason"], &flag["changed_by"]),
        (&json!(false), &json!(true), &json!("a wrong template"), &json!("user-1"))
    );
    assert_eq!(world.get("/health").await.body["flags"], json!(["outward_writes"]));
    let recorded = "SELECT actor, reason, changes FROM audit_events WHERE action = 'flag.set'";
    let recorded = world.db.rows(recorded).await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(
        (&recorded[0]["reason"], &recorded[0]["changes"]["enabled"]),
        (&json!("a wrong template"), &json!({ "before": true, "after": false })),
        "{recorded:?}"
    );

    // Another organization's is as it was, and nobody else's can be thrown.
    let other = world.db.company().await;
    let router = router(&world.db.store, NOWHERE);
    let asked = request(Some(&token(other, Role::Admin)), Method::GET, "/api/flags", None);
    let theirs = send(&router, asked).await;
    assert_eq!(named(&theirs.body, "outward_writes")["active"], false);

    let on = world.put(PATH, json!({ "enabled": true, "reason": "the template is right" })).await;
    assert_eq!((&on.body["active"], &on.body["released"]), (&json!(false), &json!(0)), "{on:?}");
    assert_eq!(world.db.number("SELECT count(*) FROM operator_flags").await, 0);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let world = World::new().await;
    let off = || json!({ "enabled": false, "reason": "x" });
    for (method, body) in [(Method::GET, None), (Method::PUT, Some(off()))] {
        let path = if body.is_some() { PATH } else { "/api/flags" };
        let answer = world.call(Role::Operator, method, path, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    }
    let past = json!({ "enabled": false, "reason": "x", "until": "2020-01-01T00:00:00Z" });
    let far = json!({ "enabled": false, "reason": "x", "until": "2999-01-01T00:00:00Z" });
    let normal = json!({ "enabled": true, "reason": "x", "until": "2999-01-01T00:00:00Z" });
    for (path, body, status, field) in [
        ("/api/flags/nonsense", off(), StatusCode::NOT_FOUND, None),
        (PATH, json!({ "enabled": false, "reason": "  " }), StatusCode::UNPROCESSABLE_ENTITY, Some("reason")),
        (PATH, json!({ "enabled": false }), StatusCode::UNPROCESSABLE_ENTITY, None),
        (
            PATH,
            json!({ "enabled": false, "reason": "x", "colour": 1 }),
            StatusCode::UNPROCESSABLE_ENTITY,
            None,
        ),
        (PATH, past, StatusCode::UNPROCESSABLE_ENTITY, Some("until")),
        (PATH, far, StatusCode::UNPROCESSABLE_ENTITY, Some("until")),
        (PATH, normal, StatusCode::UNPROCESSABLE_ENTITY, Some("until")),
    ] {
        let answer = world.put(path, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if let Some(field) = field {
            assert_eq!(answer.body["errors"][0]["field"], field, "{answer:?}");
        }
    }
    assert_eq!(world.db.number("SELECT count(*) FROM operator_flags").await, 0);
    assert_eq!(world.db.number("SELECT count(*) FROM audit_events").await, 0);
}

#[tokio::test]
async fn the_api_obeys_its_switches() {
    let world = World::new().await;
    let archive = format!(
        "/api/v1/audit/organizations/{}/archives/{}/restore",
        world.company.uuid(),
        world.company.uuid()
    );
    for (flag, enabled) in [("heavy_exports", false), ("breaker.microsoft", true), ("breaker.google", true)] {
        let body = json!({ "enabled": enabled, "reason": "saturated" });
        assert_eq!(world.put(&format!("/api/flags/{flag}"), body).await.status, StatusCode::OK);
    }
    let calendar = json!({ "connection_id": world.company.uuid(), "calendar_id": "a@example.com" });
    // A router of its own: its view of the switches begins now.
    let router = router(&world.db.store, NOWHERE);
    for (method, path, body, flag) in [
        (Method::POST, archive.as_str(), None, "heavy_exports"),
        (Method::GET, "/api/login/microsoft", None, "breaker.microsoft"),
        (Method::POST, "/api/connections", Some(calendar), "breaker.google"),
    ] {
        let answer =
            send(&router, request(Some(&token(world.company, Role::Admin)), method, path, body)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert_eq!((&answer.body["code"], &answer.body["flag"]), (&json!("switched_off"), &json!(flag)));
    }
}
