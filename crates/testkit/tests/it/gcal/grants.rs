//! Grants: refreshed once over all replicas, ended, renewed, wrapped anew.

use contracts::fault::from_status;
use contracts::gcal::v1 as pb;
use contracts::graph::v1::FaultKind;
use futures::future::join_all;
use serde_json::json;

use super::world::{KEY_A, KEY_B, World};

#[tokio::test]
async fn one_refresh_over_all_replicas() {
    let world = World::new().await;
    let connection = world.connect().await;
    world.expire_token().await;
    let (one, two) = (world.another(&[]).await, world.another(&[]).await);
    let before = world.google.calls("POST /token");
    let calls = (0..24).map(|n| {
        let mut client = if n % 2 == 0 { one.client.clone() } else { two.client.clone() };
        let request = world.list(&connection);
        async move { client.list_events(request).await.expect("a page") }
    });
    join_all(calls).await;
    assert_eq!(world.google.calls("POST /token") - before, 1);
    // A token that the provider refuses is replaced once, too.
    world.google.state().access.clear();
    let calls = (0..24).map(|n| {
        let mut client = if n % 2 == 0 { one.client.clone() } else { two.client.clone() };
        let request = world.list(&connection);
        async move { client.list_events(request).await.expect("a page") }
    });
    join_all(calls).await;
    assert_eq!(world.google.calls("POST /token") - before, 2);
}

#[tokio::test]
async fn a_refresher_that_died_is_replaced() {
    let world = World::new().await;
    let connection = world.connect().await;
    world.expire_token().await;
    world
        .db
        .execute(
            "UPDATE calendar_accounts SET refresh_owner = gen_random_uuid(),
                 refresh_until = clock_timestamp() + interval '1 second'",
        )
        .await;
    let replica = world.another(&[]).await;
    replica.client.clone().list_events(world.list(&connection)).await.expect("after the dead one's turn");
}

#[tokio::test]
async fn a_grant_that_ended_parks_its_writes_and_a_new_consent_replays_them() {
    let world = World::new().await;
    let connection = world.connect().await;
    let company = world.company;
    let mut tx = world.db.store.tenant(company).await.expect("a transaction");
    store::admin::execute_in(
        &mut tx,
        &format!("INSERT INTO events (title, connection_id) VALUES ('waits', '{connection}')"),
    )
    .await
    .expect("an event");
    tx.commit().await.expect("a commit");
    {
        let mut google = world.google.state();
        google.grants.clear();
        google.access.clear();
    }
    let refused = world.client().list_events(world.list(&connection)).await.expect_err("the grant ended");
    assert_eq!(from_status(&refused).kind(), FaultKind::Credential, "{refused:?}");
    let states =
        "SELECT c.state || ' ' || a.state || ' ' || q.status AS s FROM google_calendar_connections c,
        calendar_accounts a, google_calendar_sync_queue q";
    assert_eq!(world.value(states).await, json!("reauth_required reauth_required parked"));
    let calls = world.google.state().seen.len();
    let refused = world.client().insert_event(world.insert(&connection)).await.expect_err("parked");
    assert_eq!(from_status(&refused).code, "reauth_required");
    assert_eq!(world.google.state().seen.len(), calls, "Google is not asked in vain");
    let request = pb::GetStatusRequest { context: world.context() };
    let seen = world.client().get_status(request).await.expect("a reply").into_inner();
    assert_eq!((seen.active_accounts, seen.reauth_accounts), (0, 1));

    assert_eq!(world.connect().await, connection, "the same row: cursor and events are kept");
    assert_eq!(world.value(states).await, json!("active active pending"));
    world.client().list_events(world.list(&connection)).await.expect("a page");
}

#[tokio::test]
async fn an_identity_provider_that_is_away_ends_nothing() {
    let world = World::new().await;
    let connection = world.connect().await;
    world.expire_token().await;
    let replica = world.another(&[("GOOGLE_RETRY_MAX_ATTEMPTS", "1")]).await;
    world.google.state().scripted.push(("POST /token".into(), 503, json!({})));
    let failed = replica.client.clone().list_events(world.list(&connection)).await.expect_err("away");
    assert_eq!(from_status(&failed).kind(), FaultKind::Unavailable);
    assert_eq!(world.value("SELECT state FROM calendar_accounts").await, json!("active"));
    replica
        .client
        .clone()
        .list_events(world.list(&connection))
        .await
        .expect("it is back, and the turn is free");
}

#[tokio::test]
async fn a_scope_that_was_taken_away_asks_for_a_consent() {
    let world = World::new().await;
    let connection = world.connect().await;
    let (status, body) = super::google::reason(403, "insufficientPermissions");
    world.google.state().scripted.push(("GET /calendar".into(), status, body));
    world.client().list_events(world.list(&connection)).await.expect_err("refused");
    assert_eq!(world.value("SELECT state FROM google_calendar_connections").await, json!("reauth_required"));
}

#[tokio::test]
async fn rotation_wraps_anew_and_a_lost_key_says_so() {
    let world = World::new().await;
    let connection = world.connect().await;
    let rotated = format!("{KEY_B},{KEY_A}");
    let replica = world.another(&[("TOKEN_ENCRYPTION_KEYS", &rotated)]).await;
    let before = world.value("SELECT refresh_token::text FROM calendar_accounts").await;
    gcal_connector::tidy(&replica.connector).await.expect("a round");
    assert_eq!(world.value("SELECT token_key_id FROM calendar_accounts").await, json!("b"));
    assert_eq!(
        world.value("SELECT refresh_token::text FROM calendar_accounts").await,
        before,
        "the content stays"
    );
    let retired = world.another(&[("TOKEN_ENCRYPTION_KEYS", KEY_B)]).await;
    world.expire_token().await;
    retired.client.clone().list_events(world.list(&connection)).await.expect("the old key is not needed");
    let lost = world.another(&[("TOKEN_ENCRYPTION_KEYS", KEY_A)]).await;
    let failed = lost.client.clone().list_events(world.list(&connection)).await.expect_err("no key");
    assert!(failed.message().contains("TOKEN_ENCRYPTION_KEYS"), "{}", failed.message());
    assert_eq!(
        world.value("SELECT state FROM calendar_accounts").await,
        json!("active"),
        "nothing is thrown away"
    );
}

#[tokio::test]
async fn tokens_copied_to_another_row_do_not_open() {
    let world = World::new().await;
    let connection = world.connect().await;
    world.google.state().subject = "118".into();
    let (code, state) =
        world.google.consent(&world.begin("team@group.calendar.google.com", "").await.expect("an address"));
    world.complete(&code, &state).await.expect("a second account");
    world
        .db
        .execute(
            "UPDATE calendar_accounts a SET token_key_id = b.token_key_id, token_data_key = b.token_data_key,
                 refresh_token = b.refresh_token, access_token = b.access_token
             FROM calendar_accounts b WHERE a.subject = '117' AND b.subject = '118'",
        )
        .await;
    let replica = world.another(&[]).await;
    let failed =
        replica.client.clone().list_events(world.list(&connection)).await.expect_err("does not open");
    assert_eq!(from_status(&failed).code, "tokenSealed");
}
