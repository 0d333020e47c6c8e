//! Push channels, and disconnecting.

use std::time::Instant;

use contracts::fault::from_status;
use contracts::gcal::v1 as pb;
use contracts::graph::v1::FaultKind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::calendar::webhooks;

use super::google::reason;
use super::world::World;

fn watch(world: &World, connection: &str) -> pb::WatchRequest {
    pb::WatchRequest { context: world.context(), connection_id: connection.into(), ttl_seconds: 604_800 }
}

fn disconnect(world: &World, connection: &str) -> pb::DisconnectRequest {
    pb::DisconnectRequest {
        context: world.context(),
        connection_id: connection.into(),
        requested_by: "anna".into(),
    }
}

async fn states(world: &World) -> Vec<Value> {
    let rows = world.db.rows("SELECT state FROM google_calendar_webhooks ORDER BY created_at").await;
    rows.into_iter().map(|row| row["state"].clone()).collect()
}

#[tokio::test]
async fn the_new_channel_lives_before_the_old_one_stops() {
    let world = World::new().await;
    let connection = world.connect().await;
    let first = world.client().watch(watch(&world, &connection)).await.expect("a channel").into_inner();
    assert_eq!((first.capability.as_str(), first.expiration_ms), ("push", 1_900_000_000_000));
    let asked = world.google.state().seen.last().expect("a call").clone();
    let body: Value = serde_json::from_str(&asked.body).expect("JSON");
    assert_eq!(body["address"], "https://hooks.example/api/webhooks/google-calendar");
    assert_eq!((&body["type"], &body["params"]["ttl"]), (&json!("web_hook"), &json!("604800")));
    let mut tx = world.db.store.dispatch().await.expect("a transaction");
    let found =
        webhooks::find_channel(&mut tx, &first.channel_id).await.expect("a query").expect("the channel");
    drop(tx);
    let token = body["token"].as_str().expect("a token");
    assert_eq!(found.token_sha256, Sha256::digest(token.as_bytes()).to_vec(), "only its digest is kept");
    assert_eq!(
        (found.state.as_str(), found.resource_id.as_deref()),
        ("active", Some(first.resource_id.as_str()))
    );

    let second = world.client().watch(watch(&world, &connection)).await.expect("a channel").into_inner();
    assert_eq!((second.stopped, second.orphaned), (1, 0));
    assert_eq!(states(&world).await, ["replaced", "active"]);
    let lines: Vec<String> = world.google.state().seen.iter().map(|seen| seen.line.clone()).collect();
    let made = lines.iter().rposition(|line| line.ends_with("/watch")).expect("made");
    let stopped = lines.iter().rposition(|line| line.ends_with("/channels/stop")).expect("stopped");
    assert!(made < stopped, "{lines:?}");
    let stop = pb::StopChannelRequest { context: world.context(), webhook_id: second.webhook_id };
    assert!(world.client().stop_channel(stop).await.expect("an answer").into_inner().existed);
}

#[tokio::test]
async fn a_channel_that_may_exist_is_kept_in_mind_and_one_that_cannot_be_is_not_tried_again() {
    let world = World::new().await;
    let connection = world.connect().await;
    let script = |status: u16, why: &str| {
        let (status, body) = reason(status, why);
        world.google.state().scripted.push(("/watch".into(), status, body));
    };
    script(500, "backendError");
    let lost = world.client().watch(watch(&world, &connection)).await.expect_err("no answer");
    assert_eq!(from_status(&lost).kind(), FaultKind::Ambiguous);
    assert_eq!(states(&world).await, ["orphaned"], "a late message of it still finds its row");
    script(400, "pushNotSupportedForRequestedResource");
    let reply = world.client().watch(watch(&world, &connection)).await.expect("an answer").into_inner();
    assert_eq!((reply.capability.as_str(), reply.channel_id.as_str()), ("poll", ""));
    assert_eq!(world.value("SELECT push_capability FROM google_calendar_connections").await, json!("poll"));
    let mut tx = world.db.store.tenant(world.company).await.expect("a transaction");
    assert!(webhooks::to_renew(&mut tx, world.company, 36).await.expect("a query").is_empty());
    drop(tx);
    script(404, "notFound");
    let gone = world.client().watch(watch(&world, &connection)).await.expect_err("gone");
    assert_eq!(from_status(&gone).kind(), FaultKind::NotFound);
    assert_eq!(world.value("SELECT push_capability FROM google_calendar_connections").await, json!("gone"));
}

#[tokio::test]
async fn disconnecting_stops_first_and_revokes_last() {
    let world = World::new().await;
    let connection = world.connect().await;
    let another = pb::ConnectCalendarRequest {
        context: world.context(),
        user_id: "anna".into(),
        connection_id: connection.clone(),
        calendar_id: "team@group.calendar.google.com".into(),
        sync_direction: "both".into(),
    };
    let other =
        world.client().connect_calendar(another).await.expect("a calendar").into_inner().connection_id;
    world.client().watch(watch(&world, &connection)).await.expect("a channel");
    world.client().watch(watch(&world, &other)).await.expect("a channel");
    let first = world.client().disconnect(disconnect(&world, &other)).await.expect("done").into_inner();
    assert_eq!((first.channels_stopped, first.last_calendar, first.revoked), (1, false, false));
    world.client().list_events(world.list(&connection)).await.expect("the account's other calendar goes on");
    let last = world.client().disconnect(disconnect(&world, &connection)).await.expect("done").into_inner();
    assert_eq!((last.channels_stopped, last.last_calendar, last.revoked), (1, true, true));
    let lines: Vec<String> = world.google.state().seen.iter().map(|seen| seen.line.clone()).collect();
    assert_eq!(lines[lines.len() - 2..], ["POST /calendar/v3/channels/stop", "POST /revoke"]);
    assert!(world.google.state().grants.is_empty());
    let kept = "SELECT count(*) FROM calendar_accounts WHERE refresh_token IS NOT NULL OR token_data_key IS NOT NULL";
    assert_eq!(world.db.number(kept).await, 0, "the tokens are destroyed");
    let refused = world.client().list_events(world.list(&connection)).await.expect_err("disconnected");
    assert_eq!(from_status(&refused).code, "revoked");
    let unknown = world.client().disconnect(disconnect(&world, &chassis::ids::new_id().to_string())).await;
    assert!(!unknown.expect("an answer").into_inner().existed);
    assert_eq!(world.connect().await, connection, "connected again, the same row");
    world.client().list_events(world.list(&connection)).await.expect("a page");
}

#[tokio::test]
async fn disconnecting_works_while_google_is_silent() {
    let world = World::new().await;
    let connection = world.connect().await;
    world.client().watch(watch(&world, &connection)).await.expect("a channel");
    world.google.state().silent = vec!["/channels/stop".into(), "/revoke".into()];
    let begun = Instant::now();
    let done = world.client().disconnect(disconnect(&world, &connection)).await.expect("done").into_inner();
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    assert_eq!((done.channels_orphaned, done.last_calendar, done.revoked), (1, true, false));
    assert_eq!(states(&world).await, ["orphaned"]);
    assert_eq!(world.value("SELECT state FROM google_calendar_connections").await, json!("revoked"));
    assert_eq!(world.value("SELECT state FROM calendar_accounts").await, json!("revoked"));
    // The keeper tells Google when it answers again, and destroys the tokens then.
    world.google.state().silent.clear();
    gcal_connector::tidy(&world.replica.connector).await.expect("a round");
    assert!(world.google.state().grants.is_empty());
    assert_eq!(
        world.db.number("SELECT count(*) FROM calendar_accounts WHERE refresh_token IS NOT NULL").await,
        0
    );
}
