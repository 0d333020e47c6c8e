//! Channels and chats: notifications, and one repair a day.

use contracts::jobs::{
    EnsureSubscription, SubscriptionIntent, SyncChannel, SyncChat, SyncMode, Trigger, channel_resource,
    chat_resource,
};
use store::teams::{put_channel, put_chat};

use super::Scene;
use crate::fake_graph::teams::message;

async fn scene() -> Scene {
    let scene = Scene::new().await;
    let mut tx = scene.rig.db.store.tenant(scene.company()).await.expect("a transaction");
    put_channel(&mut tx, scene.company(), ("t", "c"), "General", None).await.expect("a channel");
    put_chat(&mut tx, scene.company(), "19:chat", ("", ""), None).await.expect("a chat");
    tx.commit().await.expect("a commit");
    scene
}

fn channel(trigger: Trigger, mode: SyncMode) -> SyncChannel {
    SyncChannel { team_id: "t".to_owned(), channel_id: "c".to_owned(), mode, trigger }
}

#[tokio::test]
async fn a_channel_is_repaired_once_a_day_and_told_the_rest() {
    let scene = scene().await;
    let key = channel_resource("t", "c");
    // Too new to have a feed: no cursor, and no failure.
    scene.run(&channel(Trigger::Sweep, SyncMode::Delta), &key).await;
    scene.rig.db.execute("TRUNCATE microsoft_sync_state").await;
    {
        let mut state = scene.graph.state();
        state.roots.insert("1".to_owned(), message("1", ""));
        state.replies.insert("1".to_owned(), vec![message("2", "1")]);
    }
    let read = scene.run(&channel(Trigger::Sweep, SyncMode::Delta), &key).await;
    assert_eq!(read["messages_added"], 2, "{read}");
    let reads = scene.calls("channel_message_delta");
    for _ in 0..3 {
        scene.run(&channel(Trigger::Sweep, SyncMode::Delta), &key).await;
    }
    assert_eq!(scene.calls("channel_message_delta"), reads, "more would be polling");
    // A reply, an edit and a deletion by notification.
    {
        let mut state = scene.graph.state();
        state.replies.get_mut("1").expect("replies").push(message("3", "1"));
        let root = state.roots.get_mut("1").expect("a root");
        root.body = "Edited".to_owned();
        root.e_tag = "2".to_owned();
        root.modified_at_us = Some(crate::fake_graph::chrono_us());
        let gone = state.replies.get_mut("1").and_then(|all| all.first_mut()).expect("a reply");
        gone.deleted_at_us = Some(crate::fake_graph::chrono_us());
        gone.modified_at_us = gone.deleted_at_us;
    }
    scene.hint(&key, &["1", "1/3", "1/2"]).await;
    let told = scene.run(&channel(Trigger::Webhook, SyncMode::Delta), &key).await;
    assert_eq!(told["hints"], 3, "{told}");
    assert_eq!(scene.calls("channel_message_delta"), reads);
    let sql =
        "SELECT provider_id, reply_to_id, body, deleted_at IS NOT NULL AS gone FROM messages ORDER BY 1";
    let rows = scene.rig.db.rows(sql).await;
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[0]["body"], &rows[0]["gone"]), (&"Edited".into(), &false.into()));
    assert_eq!((&rows[1]["body"], &rows[1]["gone"]), (&serde_json::Value::Null, &true.into()));
    assert_eq!(rows[2]["reply_to_id"], "1");
    scene.end().await;
}

#[tokio::test]
async fn a_chat_is_read_in_windows() {
    let scene = scene().await;
    let key = chat_resource("19:chat");
    let chat = |trigger, mode| SyncChat { chat_id: "19:chat".to_owned(), mode, trigger };
    scene.graph.state().chat.push(message("1", ""));
    scene.run(&chat(Trigger::Sweep, SyncMode::Delta), &key).await;
    scene.graph.state().chat.push(message("2", ""));
    scene.run(&chat(Trigger::Sweep, SyncMode::Delta), &key).await;
    assert_eq!(scene.stored().await, ["1@"], "the second sweep of the day reads nothing");
    scene.run(&chat(Trigger::Manual, SyncMode::Delta), &key).await;
    assert_eq!(scene.stored().await, ["1@", "2@"]);
    scene.graph.state().chat.push(message("3", ""));
    scene.hint(&key, &["3"]).await;
    scene.run(&chat(Trigger::Webhook, SyncMode::Delta), &key).await;
    assert_eq!(scene.stored().await, ["1@", "2@", "3@"]);
    scene.end().await;
}

#[tokio::test]
async fn lifecycle_events_are_answered() {
    let scene = scene().await;
    let ensure = |intent| EnsureSubscription {
        resource_type: "channel".to_owned(),
        resource_id: "t/c".to_owned(),
        intent,
    };
    scene.run(&ensure(SubscriptionIntent::Ensure), "s").await;
    scene.run(&ensure(SubscriptionIntent::Reauthorize), "s").await;
    assert_eq!(scene.graph.state().reauthorized, 1);
    // Removed without a word: authorising finds nothing, and another one is created.
    scene.graph.state().subscriptions.clear();
    let anew = scene.run(&ensure(SubscriptionIntent::Reauthorize), "s").await;
    assert_eq!(anew["action"], "created", "{anew}");
    let sql = "SELECT count(*) FROM microsoft_subscriptions WHERE state = 'active'";
    assert_eq!(scene.rig.db.number(sql).await, 1);
    scene.end().await;
}
