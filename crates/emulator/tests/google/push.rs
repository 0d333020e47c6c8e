//! E29 to E32 on the wire: messages, their order, and what becomes of refused ones.

use std::sync::atomic::Ordering;
use std::time::Duration;

use emulator::Config;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stage::event;
use crate::support::eventually;
use crate::wire::{Receiver, Wire, reason};

async fn watch(wire: &Wire, receiver: &Receiver, id: &str) -> Value {
    wire.call(Method::POST, "/calendars/primary/events/watch", &receiver.channel(id)).await.expect(200).json()
}

async fn deliveries(wire: &Wire) -> Vec<Value> {
    let answer = wire.control(Method::GET, "/google/notifications", &Value::Null).await.expect(200).json();
    answer["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn e29_sync_comes_before_the_answer_and_messages_say_nothing() {
    let wire = Wire::start().await;
    let mut receiver = Receiver::start().await;
    let made = watch(&wire, &receiver, "channel-1").await;
    let sync = receiver.waiting().expect("the sync message is here before the answer");
    assert_eq!(
        (sync["x-goog-resource-state"].as_str(), sync["x-goog-message-number"].as_str()),
        ("sync", "1")
    );
    assert_eq!(sync["content-length"], "0");
    wire.insert(&event("event1")).await.expect(200);
    let told = receiver.next().await;
    assert_eq!(told["x-goog-resource-state"], "exists");
    assert_eq!(told["x-goog-channel-id"], "channel-1");
    assert_eq!(told["x-goog-channel-token"], "secret");
    assert_eq!(Some(told["x-goog-resource-id"].as_str()), made["resourceId"].as_str());
    assert!(told["x-goog-resource-uri"].ends_with("/events?alt=json"), "{told:?}");
    assert!(told["user-agent"].starts_with("APIs-Google"));
    assert!(told["x-goog-message-number"].parse::<u64>().unwrap() > 1);
    let again =
        wire.call(Method::POST, "/calendars/primary/events/watch", &receiver.channel("channel-1")).await;
    assert_eq!(reason(&again.expect(400)), "channelIdNotUnique");
    let list = wire.call(Method::POST, "/users/me/calendarList/watch", &receiver.channel("channel-2")).await;
    list.expect(200);
    receiver.next().await;
    wire.call(Method::POST, "/calendars", &json!({"summary": "New"})).await.expect(200);
    assert_eq!(receiver.next().await["x-goog-channel-id"], "channel-2");
    receiver.end().await;
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e29_messages_are_dropped_doubled_delayed_reordered_and_forged() {
    let wire = Wire::start().await;
    let mut receiver = Receiver::start().await;
    watch(&wire, &receiver, "channel-1").await;
    receiver.next().await;
    let mut count = 0;
    let mut change = async || {
        count += 1;
        wire.insert(&event(&format!("event{count}"))).await.expect(200);
    };
    let arm = async |action: &str| {
        wire.control(Method::DELETE, "/faults", &Value::Null).await.expect(204);
        wire.fault(json!({"provider": "google", "times": 1,
            "fault": {"kind": "notification", "action": action, "ms": 50}}))
            .await;
    };
    let number = |message: &std::collections::BTreeMap<String, String>| {
        message["x-goog-message-number"].parse::<u64>().unwrap()
    };
    arm("drop").await;
    change().await;
    eventually("the drop", async || {
        deliveries(&wire).await.iter().any(|one| one["action"] == "drop").then_some(())
    })
    .await;
    arm("duplicate").await;
    change().await;
    assert_eq!(receiver.next().await, receiver.next().await);
    arm("delay").await;
    change().await;
    receiver.next().await;
    assert!(deliveries(&wire).await.iter().any(|one| one["action"] == "delay"));
    arm("forge").await;
    change().await;
    assert_ne!(receiver.next().await["x-goog-channel-token"], "secret");
    assert_eq!(receiver.next().await["x-goog-channel-token"], "secret");
    arm("reorder").await;
    change().await;
    eventually("the held one", async || {
        let faults = wire.control(Method::GET, "/faults", &Value::Null).await.json();
        (faults["items"][0]["hits"] == 1).then_some(())
    })
    .await;
    change().await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert!(number(&first) > number(&second), "{first:?} {second:?}");
    // Faults of the other side leave these messages alone.
    wire.control(Method::DELETE, "/faults", &Value::Null).await.expect(204);
    wire.fault(json!({"provider": "microsoft", "fault": {"kind": "notification", "action": "drop"}})).await;
    change().await;
    receiver.next().await;
    receiver.end().await;
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e31_a_stopped_channel_is_silent_and_a_foreign_one_is_not_found() {
    let wire = Wire::start().await;
    let mut receiver = Receiver::start().await;
    let made = watch(&wire, &receiver, "channel-1").await;
    receiver.next().await;
    let stop = json!({"id": "channel-1", "resourceId": made["resourceId"]});
    let app = json!({"client_id": "other", "client_secret": "s"});
    wire.control(Method::PUT, "/google/apps", &app).await.expect(204);
    let minted = wire.mint(&json!({"provider": "google", "client_id": "other"})).await;
    let foreign = format!("Bearer {}", minted["access_token"].as_str().unwrap());
    let headers = [("authorization", foreign.as_str())];
    let url = format!("{}/channels/stop", wire.emulator.google_calendar_base_url());
    crate::support::exchange(Method::POST, &url, &headers, stop.to_string()).await.unwrap().expect(404);
    wire.call(Method::POST, "/channels/stop", &stop).await.expect(204);
    wire.call(Method::POST, "/channels/stop", &stop).await.expect(404);
    watch(&wire, &receiver, "channel-2").await;
    receiver.next().await;
    wire.insert(&event("event1")).await.expect(200);
    assert_eq!(receiver.next().await["x-goog-channel-id"], "channel-2", "the stopped one says nothing");
    receiver.end().await;
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e32_success_is_final_four_statuses_are_retried_and_the_rest_drops() {
    let patience = Duration::from_secs(5);
    let wire = Wire::with(Config { notification_patience: patience, ..Config::default() }).await;
    let mut receiver = Receiver::start().await;
    watch(&wire, &receiver, "channel-1").await;
    receiver.next().await;
    let attempts =
        async |status: u16| deliveries(&wire).await.iter().filter(|one| one["status"] == status).count();
    let mut count = 0;
    for status in [200, 201, 202, 204, 301, 400, 404, 410, 501] {
        receiver.status.store(status, Ordering::Relaxed);
        let before = attempts(status).await;
        count += 1;
        wire.insert(&event(&format!("event{count}"))).await.expect(200);
        receiver.next().await;
        eventually("the attempt", async || (attempts(status).await > before).then_some(())).await;
    }
    for status in [500, 502, 503, 504] {
        receiver.status.store(status, Ordering::Relaxed);
        count += 1;
        wire.insert(&event(&format!("event{count}"))).await.expect(200);
        let first = receiver.next().await;
        receiver.status.store(204, Ordering::Relaxed);
        let second = receiver.next().await;
        assert_eq!(first, second, "{status} is retried, the same message again");
    }
    // Nothing else came: what was refused for good was sent once.
    assert!(receiver.waiting().is_none());
    receiver.end().await;
    wire.emulator.stop().await;
}

#[tokio::test]
async fn e32_processing_is_success_and_not_sent_again() {
    let patience = Duration::from_secs(5);
    let wire = Wire::with(Config { notification_patience: patience, ..Config::default() }).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/push", listener.local_addr().expect("an address"));
    // Says 102 and hangs up, as often as it is called.
    let (said, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = tokio::select! {
                accepted = listener.accept() => accepted.expect("a connection"),
                () = stopped.cancelled() => return,
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.expect("a request"));
            }
            stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await.expect("written");
            stream.shutdown().await.expect("shut down");
            said.send(()).expect("the test listens");
        }
    });
    let channel = json!({"id": "channel-102", "type": "web_hook", "address": address});
    wire.call(Method::POST, "/calendars/primary/events/watch", &channel).await.expect(200);
    for count in 1..=2 {
        calls.recv().await.expect("a message");
        eventually("the attempt", async || {
            let noted = deliveries(&wire).await.iter().filter(|one| one["status"] == 102).count();
            (noted == count).then_some(())
        })
        .await;
        if count == 1 {
            wire.insert(&event("event102")).await.expect(200);
        }
    }
    // The second message came as one call: the first was not repeated before it.
    assert!(calls.try_recv().is_err());
    assert_eq!(deliveries(&wire).await.len(), 2);
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    wire.emulator.stop().await;
}
