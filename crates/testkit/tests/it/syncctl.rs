//! The command line, in process.

use ::syncctl::{Cli, CliError, Output, run};
use chassis::config::Env;
use chassis::lifecycle::{Shutdown, Tasks};
use clap::Parser;
use serde_json::json;
use testkit::fresh_database;
use tokio::net::TcpListener;
use web::auth::Role;

use crate::api::{World, router, token};
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
    let (_fake, connector) = Fake::start().await;
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
    assert_eq!(ctl(&["webhooks", "list"], &environment).await.expect("a list").text, "no subscriptions");
    assert_eq!(ctl(&["cache", "flush"], &environment).await.expect("a flush").json["cleared"], 7);
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
