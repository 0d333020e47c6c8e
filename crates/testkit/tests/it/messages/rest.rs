//! Messages, outbox, re-sync and webhooks over REST.

use contracts::graph::v1 as pb;
use http::StatusCode;
use serde_json::json;

use crate::api::World;

#[tokio::test]
async fn a_mailbox_is_registered_by_its_address_and_re_synced() {
    let world = World::new().await;
    let unknown = world.put("/api/mailboxes/nobody@example.com", json!({})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let put = world.put("/api/mailboxes/ann@example.com", json!({ "bodies": true })).await;
    assert_eq!((put.status, &put.body["user_id"]), (StatusCode::CREATED, &json!("ann")), "{put:?}");
    let again = world.put("/api/mailboxes/ann", json!({ "enabled": true })).await;
    assert_eq!((again.status, &again.body["bodies"]), (StatusCode::OK, &json!(true)));
    let jobs = world.db.rows("SELECT kind FROM jobs ORDER BY kind").await;
    assert_eq!(jobs.len(), 2, "a walk and a subscription: {jobs:?}");
    for (what, status) in
        [("reset", StatusCode::OK), ("full", StatusCode::ACCEPTED), ("delta", StatusCode::ACCEPTED)]
    {
        let body = json!({ "userId": "ANN@example.com", "resourceType": "messages" });
        let answer = world.post(&format!("/api/sync/{what}"), Some(body)).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        let nobody = world.post(&format!("/api/sync/{what}"), Some(json!({ "userId": "x@y" }))).await;
        assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    }
    let actions = world.db.rows("SELECT action FROM audit_events ORDER BY action").await;
    let actions: Vec<_> = actions.iter().filter_map(|row| row["action"].as_str()).collect();
    assert_eq!(actions, ["mailbox.put", "mailbox.put", "sync.delta", "sync.full", "sync.reset"]);
}

#[tokio::test]
async fn messages_are_listed_filtered_and_paged() {
    let world = World::new().await;
    let company = world.company;
    world
        .db
        .execute(&format!(
            "INSERT INTO mailboxes (company_id, user_id, address) VALUES ('{company}', 'ann', 'ann@example.com');
             INSERT INTO mail_folders (company_id, user_id, folder_id, well_known_name)
                 VALUES ('{company}', 'ann', 'f', 'inbox');
             INSERT INTO messages (company_id, source, place, provider_id, user_id, folder_id, subject, body,
                     occurred_at, deleted_at)
                 SELECT '{company}', 'mail', 'ann', 'm' || n, 'ann', 'f', 'Invoice ' || n, 'text',
                     now() - n * interval '1 minute', CASE WHEN n = 5 THEN now() END FROM generate_series(1, 5) n;
             INSERT INTO messages (company_id, source, place, provider_id, chat_id, occurred_at)
                 VALUES ('{company}', 'chat', 'c', '1', 'c', now())"
        ))
        .await;
    let all = world.get("/api/messages?limit=200").await;
    assert_eq!(all.body["items"].as_array().map(Vec::len), Some(5), "{all:?}");
    let filtered =
        world.get("/api/messages?source=mail&mailbox=ann@example.com&folder=inbox&q=voice%203").await;
    assert_eq!(filtered.body["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(filtered.body["items"][0]["body"], json!(null), "lists hold no bodies");
    let one = world.get(&format!("/api/messages/{}", filtered.body["items"][0]["id"])).await;
    assert_eq!(one.body["body"], "text");
    let (mut seen, mut cursor) = (0, String::new());
    for _ in 0..4 {
        let page = world.get(&format!("/api/messages?limit=2&deleted=true{cursor}")).await;
        seen += page.body["items"].as_array().map_or(0, Vec::len);
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, 6);
    assert_eq!(world.get("/api/messages?source=fax").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.get("/api/messages/999999").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_sending_is_taken_once_and_can_be_called_off() {
    let world = World::new().await;
    let mail = json!({ "mail": { "from": "ann@example.com", "to": [{ "address": "bob@example.com" }],
        "subject": "S", "body": "B",
        "attachments": [{ "name": "a.txt", "content_base64": "aGVsbG8=" }] } });
    let unregistered = world.post("/api/messages/send", Some(mail.clone())).await;
    assert_eq!(unregistered.status, StatusCode::UNPROCESSABLE_ENTITY);
    world.put("/api/mailboxes/ann@example.com", json!({})).await;
    let taken = world.post("/api/messages/send", Some(mail)).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{taken:?}");
    let path = taken.body["location"].as_str().expect("a location").to_owned();
    assert_eq!(world.get(&path).await.body["state"], "pending");
    let cancelled = world.post(&format!("{path}/cancel"), None).await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(world.post(&format!("{path}/retry"), None).await.status, StatusCode::CONFLICT);
    assert_eq!(world.db.number("SELECT count(*) FROM message_outbox_files").await, 0);
    let card = json!({ "card": { "workflow": "alerts", "card": { "type": "AdaptiveCard" } } });
    let card = world.post("/api/messages/send", Some(card)).await;
    let path = card.body["location"].as_str().expect("a location").to_owned();
    world.db.execute("UPDATE message_outbox SET state = 'ambiguous' WHERE kind = 'card'").await;
    let again = world.post(&format!("{path}/retry"), None).await;
    assert_eq!((again.status, &again.body["state"]), (StatusCode::ACCEPTED, &json!("pending")));
    let listed = world.get("/api/messages/outbox?state=pending").await;
    assert_eq!(listed.body["items"].as_array().map(Vec::len), Some(1));
    for wrong in [
        json!({}),
        json!({ "card": { "workflow": "a", "card": {} } }),
        json!({ "mail": { "from": "ann", "to": [], "subject": "", "body": "" } }),
        json!({ "mail": { "from": "ann", "to": [{ "address": "no" }], "subject": "", "body": "" } }),
    ] {
        let answer = world.post("/api/messages/send", Some(wrong.clone())).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
}

#[tokio::test]
async fn webhooks_are_set_up_verified_and_strangers_deleted() {
    let world = World::new().await;
    world.put("/api/mailboxes/ann@example.com", json!({})).await;
    world.put("/api/teams/channels/t/c", json!({})).await;
    world.put("/api/teams/chats/19:chat", json!({ "enabled": false })).await;
    let setup = world.post("/api/webhooks/setup", None).await;
    assert_eq!((setup.status, &setup.body["microsoft"]), (StatusCode::ACCEPTED, &json!(2)), "{setup:?}");
    let verified = world.get("/api/webhooks/verify").await;
    assert_eq!(verified.body["healthy"], false, "nothing is subscribed yet: {verified:?}");
    for (id, points_at_us) in [("stranger", true), ("elsewhere", false), ("ours", true)] {
        world.connector.graph.state().subscriptions.push(pb::ProviderSubscription {
            id: id.to_owned(),
            points_at_us,
            ..pb::ProviderSubscription::default()
        });
    }
    world
        .db
        .execute(&format!(
            "INSERT INTO microsoft_subscriptions (id, company_id, subscription_id, resource_type, resource_id,
                 client_state_sha256, state, expires_at)
             VALUES (gen_random_uuid(), '{}', 'ours', 'mailbox', 'ann', '\\x00', 'active', now() + interval '3 days')",
            world.company
        ))
        .await;
    let cleaned = world.post("/api/webhooks/cleanup", None).await;
    assert_eq!((cleaned.status, &cleaned.body["strangers"]), (StatusCode::OK, &json!(1)), "{cleaned:?}");
    let left: Vec<_> = world.connector.graph.state().subscriptions.iter().map(|s| s.id.clone()).collect();
    assert_eq!(left, ["elsewhere", "ours"]);
}
