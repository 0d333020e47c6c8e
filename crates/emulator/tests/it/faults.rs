use http::Method;
use serde_json::json;

use crate::model::Mirror;
use crate::support::Stage;

const ROOT: &str = "/drives/d/root";

#[tokio::test]
async fn statuses_carry_what_they_are_told_to() {
    let stage = Stage::generated(10).await;
    for retry_after in ["2", "2.128", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        stage
            .fault(
                &json!({"method": "GET", "path": "/root$", "after": 1, "times": 1,
                "fault": {"kind": "status", "status": 429, "retry_after": retry_after}})
                .to_string(),
            )
            .await;
        stage.get(ROOT).await.expect(200);
        assert_eq!(stage.get(ROOT).await.expect(429).header("retry-after"), retry_after);
        stage.get(ROOT).await.expect(200);
        stage.control(Method::DELETE, "/faults", "").await.expect(204);
    }
    stage.fault(r#"{"times":1,"fault":{"kind":"status","status":503,"body":""}}"#).await;
    let empty = stage.get(ROOT).await.expect(503);
    assert!(empty.body.is_empty() && empty.header("retry-after").is_empty());
    stage
        .fault(r#"{"times":1,"fault":{"kind":"status","status":410,"headers":{"Location":"{location}"},
            "body":{"error":{"code":"resyncRequired","innererror":{"code":"resyncChangesUploadDifferences"}}}}}"#)
        .await;
    let gone = stage.get("/drives/d/root/delta?token=x").await.expect(410);
    assert_eq!(gone.header("location"), format!("{}/drives/d/root/delta", stage.emulator.graph_base_url()));
    assert_eq!(gone.json()["error"]["innererror"]["code"], "resyncChangesUploadDifferences");
    for nonsense in [
        r#"{"path":"(","fault":{"kind":"malformed_json"}}"#,
        r#"{"fault":{"kind":"gate","every":0,"seconds":1}}"#,
        r#"{"fault":{"kind":"status","status":42}}"#,
        r#"{"fault":{"kind":"unheard_of"}}"#,
        r#"{"provider":"x","fault":{"kind":"empty_page"}}"#,
    ] {
        stage.control(Method::POST, "/faults", nonsense).await.expect(422);
    }
    stage.emulator.stop().await;
}

#[tokio::test]
async fn connections_break_where_they_are_told_to() {
    let stage = Stage::generated(300).await;
    let arm = async |fault: &str| stage.fault(&format!(r#"{{"times":1,"fault":{fault}}}"#)).await;
    let put = async |name: &str| {
        stage.try_send(Method::PUT, &format!("/drives/d/root:/{name}:/content"), &[], "x").await
    };
    arm(r#"{"kind":"reset","at":"before"}"#).await;
    assert!(put("before.txt").await.is_err());
    stage.get("/drives/d/root:/before.txt").await.expect(404);
    arm(r#"{"kind":"reset","at":"after_commit"}"#).await;
    assert!(put("after.txt").await.is_err());
    stage.get("/drives/d/root:/after.txt").await.expect(200);
    arm(r#"{"kind":"status_after_commit","status":504}"#).await;
    assert_eq!(put("late.txt").await.unwrap().status, 504);
    stage.get("/drives/d/root:/late.txt").await.expect(200);
    arm(r#"{"kind":"reset","at":"mid_body"}"#).await;
    let half = stage.try_send(Method::GET, "/drives/d/root/delta", &[], "").await.unwrap_err();
    assert!(half.starts_with("half an answer"), "{half}");
    arm(r#"{"kind":"malformed_json"}"#).await;
    let broken = stage.get("/drives/d/root/delta").await.expect(200);
    assert!(serde_json::from_slice::<serde_json::Value>(&broken.body).is_err());
    arm(r#"{"kind":"delay","ms":30}"#).await;
    stage.get(ROOT).await.expect(200);
    arm(r#"{"kind":"slow_body","bytes_per_second":100000}"#).await;
    stage.get(ROOT).await.expect(200).json();
    let calls = stage.calls().await;
    assert!(calls.iter().any(|call| call["status"] == 0 && call["fault"].is_string()));
    stage.emulator.stop().await;
}

#[tokio::test]
async fn pages_go_wrong_as_pages_do() {
    let stage = Stage::generated(300).await;
    stage.fault(r#"{"path":"/delta","after":1,"times":1,"fault":{"kind":"empty_page"}}"#).await;
    let mut mirror = Mirror::default();
    mirror.round(&stage, "/drives/d/root/delta?$top=50").await;
    assert_eq!(mirror.empty_pages, 1);
    mirror.assert_equals(&stage.state().await, "with an empty page");

    stage.fault(r#"{"path":"/delta","times":3,"fault":{"kind":"next_link_loop"}}"#).await;
    let first = stage.get("/drives/d/root/delta?$top=50").await.expect(200).json();
    let link = first["@odata.nextLink"].as_str().unwrap();
    let second = stage.get(link).await.expect(200).json();
    assert_eq!(second["@odata.nextLink"], link);
    assert_eq!(second["value"], first["value"]);
    stage.emulator.stop().await;
}

#[tokio::test]
async fn a_gate_opens_windows_and_the_ledger_sees_who_comes_inside() {
    for (form, check) in [
        ("int", (|text: &str| text.parse::<u32>().is_ok()) as fn(&str) -> bool),
        ("decimal", |text| text.parse::<f64>().is_ok() && text.contains('.')),
        ("date", |text| text.ends_with(" GMT")),
        ("none", str::is_empty),
    ] {
        let stage = Stage::generated(10).await;
        let spec =
            format!(r#"{{"fault":{{"kind":"gate","every":3,"seconds":50,"retry_after_form":"{form}"}}}}"#);
        stage.fault(&spec).await;
        let mut answers = Vec::new();
        for _ in 0..5 {
            answers.push(stage.get(ROOT).await);
        }
        let status: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(status, [200, 200, 429, 429, 429]);
        assert!(check(answers[2].header("retry-after")), "{form}: {:?}", answers[2]);
        let inside: Vec<bool> = stage
            .calls()
            .await
            .iter()
            .map(|call| call["inside_throttle_window"].as_bool().unwrap())
            .collect();
        assert_eq!(inside, [false, false, false, true, true]);
        stage.control(Method::POST, "/clock", r#"{"advance_seconds":51}"#).await.expect(200);
        stage.get(ROOT).await.expect(200);
        stage.emulator.stop().await;
    }
}

#[tokio::test]
async fn a_reset_empties_everything_but_what_was_there_at_the_start() {
    let mut stage = Stage::generated(10).await;
    stage.fault(r#"{"fault":{"kind":"status","status":500}}"#).await;
    stage
        .control(Method::POST, "/drives", r#"{"id":"more","kind":"generated","seed":1,"items":5}"#)
        .await
        .expect(201);
    stage
        .control(Method::POST, "/drives", r#"{"id":"more","kind":"generated","seed":1,"items":5}"#)
        .await
        .expect(409);
    stage.get(ROOT).await.expect(500);
    let before = stage.state().await;
    crate::model::mutate(&stage, 1, 5).await;
    stage.control(Method::POST, "/reset", "").await.expect(204);
    stage.get(ROOT).await.expect(401);
    stage.renew().await;
    stage.get(ROOT).await.expect(200);
    stage.get("/drives/more").await.expect(404);
    assert_eq!(stage.state().await, before);
    assert_eq!(stage.calls().await.len(), 3);
    let usage = stage.control(Method::GET, "/usage", "").await.expect(200).json();
    assert!(usage["cpu_seconds"].is_number() && usage["resident_bytes"].as_u64() > Some(1_000_000));
    stage.emulator.stop().await;
}
