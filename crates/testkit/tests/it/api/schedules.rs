//! Schedules over REST.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use web::auth::Role;

use super::World;

fn field(answer: &Value) -> (&Value, &Value) {
    (&answer["errors"][0]["field"], &answer["errors"][0]["message"])
}

#[tokio::test]
async fn schedules_are_listed_paused_and_resumed() {
    let world = World::new().await;
    world.schedules().await;
    let list = world.get("/api/schedules").await.body;
    let names: Vec<_> = list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|s| s["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["onedrive-sync", "sweep-drives"]);
    let one = &list["items"][0];
    assert_eq!(
        (&one["schedule"], &one["time_zone"], &one["active"], &one["missed_policy"], &one["jitter_seconds"]),
        (&json!("0 */6 * * *"), &json!("UTC"), &json!(true), &json!("run_once"), &json!(0)),
        "{one}"
    );
    assert_eq!(one["next_runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(one["last_run"], Value::Null);
    let first = world.get("/api/schedules?limit=1").await.body;
    let cursor = first["next_cursor"].as_str().expect("another page");
    let second = world.get(&format!("/api/schedules?limit=1&cursor={cursor}")).await.body;
    assert_eq!((&second["items"][0]["name"], &second["next_cursor"]), (&json!("sweep-drives"), &Value::Null));

    let path = "/api/schedules/onedrive-sync";
    let paused = world.post(&format!("{path}/pause"), Some(json!({ "reason": "throttled" }))).await;
    assert_eq!(paused.status, StatusCode::OK, "{paused:?}");
    assert_eq!(
        (
            &paused.body["active"],
            &paused.body["next_runs"],
            &paused.body["updated_by"],
            &paused.body["updated_reason"]
        ),
        (&json!(false), &json!([]), &json!("user-1"), &json!("throttled"))
    );
    let resumed = world.post(&format!("{path}/resume"), None).await;
    assert_eq!((&resumed.body["active"], &resumed.body["updated_reason"]), (&json!(true), &Value::Null));
    for (method, rest) in
        [(Method::GET, ""), (Method::GET, "/runs"), (Method::POST, "/pause"), (Method::POST, "/trigger")]
    {
        let missing = world.call(Role::Admin, method, &format!("/api/schedules/nobody{rest}"), None).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{rest}");
    }
}

#[tokio::test]
async fn who_may_do_what() {
    let world = World::new().await;
    world.schedules().await;
    let path = "/api/schedules/onedrive-sync";
    for (role, method, rest, body, expected) in [
        (Role::Viewer, Method::GET, "", None, StatusCode::OK),
        (Role::Viewer, Method::GET, "/runs", None, StatusCode::OK),
        (Role::Viewer, Method::POST, "/trigger", None, StatusCode::FORBIDDEN),
        (Role::Viewer, Method::POST, "/pause", None, StatusCode::FORBIDDEN),
        (Role::Operator, Method::POST, "/pause", None, StatusCode::OK),
        (Role::Operator, Method::POST, "/resume", None, StatusCode::OK),
        (Role::Operator, Method::POST, "/trigger", None, StatusCode::ACCEPTED),
        (Role::Operator, Method::PUT, "", Some(json!({ "jitter_seconds": 1 })), StatusCode::FORBIDDEN),
        (Role::Admin, Method::PUT, "", Some(json!({ "jitter_seconds": 1 })), StatusCode::OK),
    ] {
        let answer = world.call(role, method, &format!("{path}{rest}"), body).await;
        assert_eq!(answer.status, expected, "{role:?} {rest}: {answer:?}");
    }
}

#[tokio::test]
async fn a_change_is_checked_and_answers_with_the_next_runs() {
    let world = World::new().await;
    world.schedules().await;
    let path = "/api/schedules/onedrive-sync";
    let body = json!({ "schedule": " 30  2 * * * ", "time_zone": "Europe/Paris", "missed_policy": "skip",
        "jitter_seconds": 90, "reason": "at night" });
    let changed = world.put(path, body).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let runs = changed.body["next_runs"].as_array().expect("times");
    assert!(
        runs.len() == 3 && runs.iter().all(|run| run.as_str().is_some_and(|at| at.contains(":30:00"))),
        "{runs:?}"
    );
    assert_eq!(
        (
            &changed.body["schedule"],
            &changed.body["missed_policy"],
            &changed.body["jitter_seconds"],
            &changed.body["updated_reason"]
        ),
        (&json!("30 2 * * *"), &json!("skip"), &json!(90), &json!("at night"))
    );
    let kept = world.put(path, json!({ "jitter_seconds": 5 })).await.body;
    assert_eq!(
        (&kept["schedule"], &kept["time_zone"]),
        (&json!("30 2 * * *"), &json!("Europe/Paris")),
        "an absent field keeps"
    );
    for (body, name, says) in [
        (json!({ "schedule": "0 0 30 2 *" }), "schedule", "names a date that never comes"),
        (json!({ "schedule": "* * *" }), "schedule", "has 3 fields"),
        (json!({ "schedule": "99 * * * *" }), "schedule", "cannot be read"),
        (json!({ "time_zone": "Mars/Base" }), "time_zone", "unknown time zone"),
        (json!({ "missed_policy": "all" }), "missed_policy", "expected run_once or skip"),
        (json!({ "jitter_seconds": -1 }), "jitter_seconds", "0 to 86400"),
        (json!({ "reason": "x".repeat(501) }), "reason", "at most 500"),
        (json!({ "cron": "x" }), "cron", "unknown"),
    ] {
        let refused = world.put(path, body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: {refused:?}");
        let (field, message) = field(&refused.body);
        assert_eq!(field, name, "{refused:?}");
        assert!(message.as_str().is_some_and(|m| m.contains(says)), "{message} does not say {says:?}");
    }
    assert_eq!(world.get(path).await.body["schedule"], "30 2 * * *", "a refused change changes nothing");
}

#[tokio::test]
async fn a_trigger_returns_its_job_and_its_row() {
    let world = World::new().await;
    world.schedules().await;
    let path = "/api/schedules/sweep-drives";
    world.post(&format!("{path}/pause"), None).await;
    let first = world.post(&format!("{path}/trigger"), None).await;
    assert_eq!((first.status, &first.body["coalesced"]), (StatusCode::ACCEPTED, &json!(false)), "{first:?}");
    assert_eq!(
        (&first.body["job"]["kind"], &first.body["job"]["state"]),
        (&json!("maintenance.sweep_drives"), &json!("queued"))
    );
    let again = world.post(&format!("{path}/trigger"), None).await.body;
    assert_eq!((&again["job_id"], &again["coalesced"]), (&first.body["job_id"], &json!(true)));
    let location = first.headers["location"].to_str().expect("text");
    assert_eq!(world.get(location).await.body["id"], first.body["job_id"]);

    // Three older rows, for the pages.
    world
        .db
        .execute(
            "INSERT INTO schedule_runs (jobid, occurrence_at, company_id, status, reason)
             SELECT jobid, date_trunc('hour', now()) - n * interval '1 hour', company_id, 'skipped', 'paused'
             FROM schedules, generate_series(1, 3) n WHERE jobname = 'sweep-drives'",
        )
        .await;
    let page = world.get(&format!("{path}/runs?limit=2")).await.body;
    assert_eq!(
        (&page["items"][0]["reason"], &page["items"][0]["job_id"], &page["items"][0]["job_state"]),
        (&json!("manual"), &first.body["job_id"], &json!("queued")),
        "{page}"
    );
    let cursor = page["next_cursor"].as_str().expect("another page");
    let rest = world.get(&format!("{path}/runs?limit=2&cursor={cursor}")).await.body;
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["next_cursor"]), (Some(2), &Value::Null));
    let shown = world.get(path).await.body;
    assert_eq!(
        (&shown["last_run"]["reason"], &shown["last_run"]["status"]),
        (&json!("manual"), &json!("enqueued"))
    );
}

#[tokio::test]
async fn figures_of_the_queue_are_exact() {
    let world = World::new().await;
    let other = world.db.company().await;
    let rows = [
        ("a.one", "queued", 3),
        ("a.one", "running", 2),
        ("a.one", "dead", 4),
        ("a.two", "retrying", 1),
        ("a.two", "scheduled", 2),
        ("a.two", "parked", 1),
        ("a.two", "succeeded", 7),
    ];
    for (company, kind, state, number) in rows
        .iter()
        .flat_map(|(kind, state, number)| [(world.company, kind, state, *number), (other, kind, state, 1)])
    {
        world
            .db
            .execute(&format!(
                "INSERT INTO jobs (id, company_id, kind, version, queue, payload, state, max_attempts, run_at,
                     attempt_seconds, queued_at, finished_at, lease_expires_at)
                 SELECT gen_random_uuid(), '{company}', '{kind}', 1, 'q', '{{}}', '{state}', 1, now(), 60,
                     now() - interval '90 seconds', now(), now() + interval '1 hour'
                 FROM generate_series(1, {number})"
            ))
            .await;
    }
    let figures = world.get("/api/metrics/queue").await.body;
    for (name, number) in
        [("pending", 3), ("running", 2), ("retrying", 1), ("scheduled", 2), ("parked", 1), ("dead", 4)]
    {
        assert_eq!(figures[name], number, "{name} of {figures}");
    }
    assert_eq!(
        (&figures["by_kind"]["a.one"]["pending"], &figures["by_kind"]["a.two"]["scheduled"]),
        (&json!(3), &json!(2))
    );
    let age = figures["oldest_pending_seconds"].as_f64().expect("seconds");
    assert!((90.0..120.0).contains(&age), "{age}");
}
