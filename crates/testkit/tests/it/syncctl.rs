//! The command line, in process.

use ::syncctl::{Cli, CliError, Output, run};
use chassis::config::Env;
use chassis::lifecycle::{Shutdown, Tasks};
use clap::Parser;
use serde_json::json;
use testkit::fresh_database;
use tokio::net::TcpListener;
use web::auth::Role;

use crate::api::queue::{Dead, dead};
use crate::api::{NOWHERE, World, router, token};
use crate::fake_connector::Fake;

async fn ctl(words: &[&str], environment: &[(&str, &str)]) -> Result<Output, CliError> {
    let cli = Cli::try_parse_from(std::iter::once(&"syncctl").chain(words)).expect("a command line");
    run(&cli, Env::from_pairs(environment.iter().copied())).await
}

#[tokio::test]
async fn migrate_and_seed_demo_can_be_repeated() {
    let db = fresh_database().await;
    let migrated =
        ctl(&["migrate"], &[("MIGRATION_DATABASE_URL", &db.owner_url)]).await.expect("a migration");
    assert_eq!((&migrated.json["applied"], migrated.code), (&json!(0), 0), "{migrated:?}");
    assert!(!migrated.text.contains(":5432@") && migrated.text.contains("[redacted]"), "{migrated:?}");

    let environment = [("DATABASE_URL", db.app_url.as_str()), ("DEMO_DRIVE_ID", "b!elsewhere")];
    let first = ctl(&["seed-demo", "--json"], &environment).await.expect("demo data");
    assert_eq!(first.json["company_id"], "018f0000-0000-7000-8000-00000000de30");
    assert_eq!(
        (&first.json["drive_id"], &first.json["created"]["drives"]),
        (&json!("b!elsewhere"), &json!(["b!elsewhere"]))
    );
    let again = ctl(&["seed-demo"], &environment).await.expect("demo data");
    assert_eq!(again.json["created"], json!({ "company": false, "drives": [] }));
    assert_eq!(db.number("SELECT count(*) FROM company_users WHERE role = 'owner'").await, 1);

    let own = ctl(
        &[
            "add-organization",
            "--name",
            "Own",
            "--owner",
            "ops",
            "--drive-id",
            "b!one",
            "--drive-id",
            "b!two",
        ],
        &environment,
    );
    let own = own.await.expect("an organization");
    assert_eq!(own.json["drives"], json!(["b!one", "b!two"]));
    assert_eq!(
        db.number("SELECT count(*) FROM jobs WHERE state = 'queued' AND queue = 'jobs.documents'").await,
        3
    );

    let away = ctl(
        &["seed-demo"],
        &[("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none"), ("DATABASE_ACQUIRE_SECONDS", "1")],
    );
    assert_eq!(away.await.expect_err("nobody listens").code(), 1);
    assert_eq!(ctl(&["migrate"], &[]).await.expect_err("no URL").code(), 64);
}

#[tokio::test]
async fn faults_of_the_environment_are_listed_together() {
    let environment = [
        ("PATH", "/nonexistent"),
        ("DATABASE_URL", "postgres://app@127.0.0.1/db"),
        ("ONEDRIVE_SYNC_SCHEDULE", "now and then"),
        ("ONEDRIVE_TAXONOMY_CONFIG", "{\"colour\": 1}"),
        ("SYNCLINE_TYPO", "1"),
        ("APP_ENV", "production"),
    ];
    let Err(CliError::Config(faults)) = ctl(&["check-config"], &environment).await else {
        panic!("no faults")
    };
    for name in
        ["ONEDRIVE_SYNC_SCHEDULE", "ONEDRIVE_TAXONOMY_CONFIG", "SYNCLINE_TYPO", "JWT_SECRET", "AMQP_URL"]
    {
        assert!(faults.iter().any(|line| line.starts_with(name)), "{name} in {faults:#?}");
    }
}

#[tokio::test]
async fn commands_speak_to_the_api() {
    let world = World::new().await;
    world.drive("b!d").await;
    world.put("/api/aos/ao-1", json!({ "reference": "1" })).await;
    let (fake, connector) = Fake::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
    let (router, stop) = (router(&world.db.store, &connector), shutdown.clone());
    tasks.spawn("api", async move { web::serve(listener, router, &stop).await.expect("a listener") });

    let token = token(world.company, Role::Admin);
    let environment = [("SYNCLINE_API_URL", url.as_str()), ("SYNCLINE_TOKEN", token.as_str())];
    let queued = ctl(&["sync", "--ao", "ao-1"], &environment).await.expect("a job");
    assert_eq!(queued.json["status"], "queued");
    let twice = ctl(&["sync", "--ao", "ao-1"], &environment).await.expect_err("one at a time");
    let CliError::Refused { status: 409, problem, .. } = &twice else { panic!("{twice:?}") };
    assert_eq!((&problem["code"], twice.code()), (&json!("sync_already_in_progress"), 1));
    let all = ctl(&["sync", "--all"], &environment).await.expect("a batch");
    assert_eq!(all.json["count"], 2);
    assert_eq!(ctl(&["queue"], &environment).await.expect("figures").json["pending"], 2);
    world.schedules().await;
    let listed = ctl(&["schedules", "list"], &environment).await.expect("a list");
    assert!(listed.text.contains("onedrive-sync  0 */6 * * *   UTC        true"), "{}", listed.text);
    let paused = ctl(&["schedules", "pause", "onedrive-sync", "--reason", "throttled"], &environment).await;
    assert_eq!(paused.expect("the schedule").json["updated_reason"], "throttled");
    let resumed = ctl(&["schedules", "resume", "onedrive-sync"], &environment).await.expect("the schedule");
    assert_eq!(resumed.json["active"], true);
    let run = ctl(&["schedules", "trigger", "onedrive-sync"], &environment).await.expect("a job");
    assert_eq!((&run.json["coalesced"], &run.json["job"]["state"]), (&json!(false), &json!("queued")));
    let nobody = ctl(&["schedules", "trigger", "nobody"], &environment).await.expect_err("no such schedule");
    assert_eq!(nobody.code(), 1);
    let frame = ctl(&["top", "--once"], &environment).await.expect("a frame");
    assert!(frame.json["queue"]["pending"].as_i64().is_some_and(|pending| pending >= 2), "{frame:?}");
    assert!(frame.text.contains("QUEUES") && frame.text.contains("documents.sync_ao"), "{}", frame.text);
    let off = ["flags", "set", "outward_writes", "off", "--reason", "a wrong template", "--for", "2h"];
    let off = ctl(&off, &environment).await.expect("a switch");
    assert_eq!((&off.json["active"], &off.json["enabled"]), (&json!(true), &json!(false)), "{off:?}");
    let flags = ctl(&["flags", "list"], &environment).await.expect("a list");
    assert!(flags.text.contains("a wrong template"), "{}", flags.text);
    let on = ctl(&["flags", "clear", "outward_writes"], &environment).await.expect("a switch");
    assert_eq!(on.json["active"], false);
    assert_eq!(
        ctl(&["flags", "clear", "nonsense"], &environment).await.expect_err("no such switch").code(),
        64
    );
    assert_eq!(ctl(&["webhooks", "list"], &environment).await.expect("a list").text, "no subscriptions");
    let renewed = ctl(&["webhooks", "renew", "--within-hours", "5"], &environment).await.expect("jobs");
    assert_eq!((&renewed.json["drives"], &renewed.json["calendars"]), (&json!(1), &json!(0)), "{renewed:?}");
    assert_eq!(ctl(&["webhooks", "cleanup"], &environment).await.expect("a number").json["removed"], 0);
    let calendars = ctl(&["calendar", "connections"], &environment).await.expect("a list");
    assert_eq!(calendars.text, "no calendars are connected");
    let synced = ctl(&["calendar", "sync", "--full"], &environment).await.expect("jobs");
    assert_eq!((synced.text.as_str(), &synced.json["jobs"]), ("no active calendars", &json!([])));
    let unknown = ["calendar", "sync", "--connection", "018f0000-0000-7000-8000-000000000001"];
    assert_eq!(ctl(&unknown, &environment).await.expect_err("no such connection").code(), 1);
    assert_eq!(ctl(&["cache", "flush"], &environment).await.expect("a flush").json["cleared"], 7);
    let wrong = ctl(&["verify-integration"], &environment).await.expect("a verdict");
    assert_eq!(wrong.code, 1, "no token, and drives without subscriptions");
    assert!(
        wrong.text.contains("has no subscription") && wrong.text.contains("Invalid client secret"),
        "{}",
        wrong.text
    );
    *fake.token.lock().expect("never poisoned") = Some(4_000_000_000_000_000);
    world
        .db
        .execute(
            "INSERT INTO microsoft_subscriptions (id, company_id, subscription_id, resource_type, resource_id,
                 client_state_sha256, state, expires_at)
             SELECT gen_random_uuid(), company_id, 's-' || drive_id, 'drive', drive_id, '\\x00', 'active',
                 now() + interval '20 days' FROM drives WHERE enabled",
        )
        .await;
    assert_eq!(ctl(&["verify-integration"], &environment).await.expect("a verdict").code, 0);
    assert_eq!(ctl(&["queue"], &environment[..1]).await.expect_err("no token").code(), 64);
    shutdown.begin();
}

#[tokio::test]
async fn a_minted_token_is_accepted() {
    let world = World::new().await;
    let company = world.company.to_string();
    let secret = [("JWT_SECRET", "a secret of the tests, long enough")];
    let words = ["token", "--org", &company, "--role", "operator", "--ttl-seconds", "60"];
    let minted = ctl(&words, &secret).await.expect("a token");
    let request = crate::api::request(Some(&minted.text), http::Method::POST, "/api/sync/manual", None);
    assert_eq!(world.send(request).await.status, http::StatusCode::ACCEPTED);
    let elsewhere = ctl(&["token"], &[("JWT_JWKS_URL", "https://issuer.example/keys")]).await;
    assert_eq!(elsewhere.expect_err("no secret").code(), 64);
}

#[tokio::test]
async fn the_queue_is_mended_from_the_command_line() {
    let world = World::new().await;
    let (db, company) = (&world.db, world.company);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
    let (router, stop) = (router(&db.store, NOWHERE), shutdown.clone());
    tasks.spawn("api", async move { web::serve(listener, router, &stop).await.expect("a listener") });
    let token = token(company, Role::Operator);
    let environment = [
        ("SYNCLINE_API_URL", url.as_str()),
        ("SYNCLINE_TOKEN", token.as_str()),
        ("DATABASE_URL", db.app_url.as_str()),
    ];
    let queue = async |words: &[&str]| {
        let words: Vec<&str> = std::iter::once("queue").chain(words.iter().copied()).collect();
        ctl(&words, &environment).await
    };

    assert_eq!(queue(&["dead-letter"]).await.expect("a list").text, "no dead letters");
    let ids: Vec<String> =
        dead(db, company, 4, &Dead::default()).await.iter().map(ToString::to_string).collect();
    let listed =
        queue(&["dead-letter", "--since", "1d", "--error", "FAILED", "--limit", "2"]).await.expect("a list");
    assert!(listed.text.contains(&ids[3]) && listed.text.contains("failed always"), "{}", listed.text);
    assert!(listed.text.contains("more: --cursor"), "{}", listed.text);
    let grouped = queue(&["dead-letter", "--group"]).await.expect("groups");
    assert!(grouped.text.lines().nth(1).is_some_and(|line| line.starts_with('4')), "{}", grouped.text);
    let shown = queue(&["show", &ids[0]]).await.expect("a dead letter");
    assert!(shown.text.contains("error 1 (attempt 3): always: failed always"), "{}", shown.text);
    assert!(shown.text.contains("because: the cause"), "{}", shown.text);

    let edited = queue(&["edit", &ids[0], "--payload", "{\"trigger\": \"sweep\"}"]).await.expect("an edit");
    assert_eq!(edited.json["payload"]["trigger"], "sweep");
    let wrong =
        queue(&["edit", &ids[0], "--payload", "{\"trigger\": 7}"]).await.expect_err("no such trigger");
    let CliError::Refused { status: 422, problem, .. } = &wrong else { panic!("{wrong:?}") };
    assert_eq!((&problem["errors"][0]["field"], wrong.code()), (&json!("payload.trigger"), 1));
    assert_eq!(queue(&["edit", &ids[0], "--payload", "{"]).await.expect_err("no JSON").code(), 64);
    assert_eq!(queue(&["dead-letter", "--since", "lately"]).await.expect_err("no age").code(), 64);

    let retried = queue(&["retry", &ids[0], "--reason", "mended"]).await.expect("a retry");
    assert_eq!(retried.text, format!("job {} is queued again", ids[0]));
    let twice = queue(&["retry", &ids[0]]).await.expect("nothing to do");
    assert_eq!(twice.text, format!("nothing to do: job {} is queued", ids[0]));
    let explained = queue(&["explain", &ids[0]]).await.expect("a reason");
    assert!(explained.text.starts_with("maintenance.sweep_drives queued: relay"), "{}", explained.text);
    let discarded = queue(&["discard", &ids[1], "--reason", "obsolete"]).await.expect("a discard");
    assert_eq!(discarded.json["result"]["reason"], "obsolete");
    assert_eq!(queue(&["discard", &ids[1]]).await.expect_err("gone").code(), 1);

    let plan = queue(&["retry-all", "--plan", "--kind", "maintenance.sweep_drives"]).await.expect("a plan");
    assert!(plan.text.contains("planned 2") && plan.text.contains("--start"), "{}", plan.text);
    let id = plan.json["id"].as_str().expect("an id");
    let started = queue(&["operation", id, "--start"]).await.expect("a start");
    assert_eq!(started.json["state"], "running");
    let again = queue(&["retry-all", "--kind", "maintenance.sweep_drives"]).await.expect("the same one");
    assert_eq!(again.json["id"], id);
    let items = queue(&["operation", id, "--items", "--result", "planned"]).await.expect("items");
    assert!(items.text.contains(&ids[2]), "{}", items.text);
    let cancelled =
        queue(&["operation", id, "--cancel", "--reason", "enough"]).await.expect("a cancellation");
    assert!(cancelled.text.contains("ended because cancelled by user-1"), "{}", cancelled.text);
    assert!(queue(&["operation"]).await.expect("a list").text.contains(id));
    let late = queue(&["retry-all", "--wait", "--timeout-seconds", "0"]).await.expect_err("no worker runs");
    assert_eq!(late.code(), 1);

    assert_eq!(queue(&["parked"]).await.expect("a list").text, "no parked jobs");
    db.execute("UPDATE jobs_live SET state = 'parked', park_reason = 'locked' WHERE kind = 'maintenance.sweep_drives'")
        .await;
    let parked = queue(&["parked", "--for", "locked"]).await.expect("a list");
    assert!(parked.text.contains("The owner of the site"), "{}", parked.text);
    assert_eq!(queue(&["release", &ids[0]]).await.expect("a release").json["state"], "queued");
    assert_eq!(queue(&["release", "--for", "locked"]).await.expect("a release").json["released"], 0);
    assert_eq!(queue(&["release", "--for", "boredom"]).await.expect_err("no reason").code(), 1);

    assert_eq!(queue(&["unassigned"]).await.expect("a list").text, "no unassigned messages");
    let nobodys = chassis::ids::new_id();
    db.execute(&format!(
        "INSERT INTO broker_dead_letters (id, routing_key, reason, headers, body)
         VALUES ('{nobodys}', 'x', 'rejected', '{{}}', 'not a bell, token=hush')"
    ))
    .await;
    let unassigned = queue(&["unassigned"]).await.expect("a list");
    assert_eq!(unassigned.json["items"][0]["body"], "not a bell, token=[redacted]");
    queue(&["unassigned", "--discard", &nobodys.to_string(), "--reason", "noise"]).await.expect("a discard");
    assert_eq!(queue(&["unassigned"]).await.expect("a list").text, "no unassigned messages");
    let record = db
        .rows("SELECT company_id, role, reason FROM audit_events WHERE action = 'broker_message.discard'")
        .await;
    assert_eq!(record, [json!({ "company_id": null, "role": "database", "reason": "noise" })]);
    shutdown.begin();
}
