//! The broker crate against a real RabbitMQ: what it promises when things break.

use broker::{Broker, Fate, Outgoing};
use chassis::trace::TraceContext;
use contracts::jobs::Queue;
use testkit::{Rig, eventually, within};
use uuid::Uuid;

fn message(id: usize, key: &str) -> Outgoing {
    Outgoing {
        message_id: format!("m{id}"),
        routing_key: key.to_owned(),
        body: id.to_string().into_bytes(),
        trace: TraceContext::default(),
        company: Uuid::nil(),
    }
}

/// Publishes until the broker has confirmed the message.
async fn deliver(broker: &Broker, id: usize) {
    let publisher = broker.publisher();
    eventually("the message is confirmed", async || {
        let fates = publisher.publish_batch(&[message(id, "maintenance.test")]).await.ok()?;
        (fates == [Fate::Confirmed]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn returns_are_told_apart_by_id() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    let publisher = broker.publisher();
    let routable = |id: usize| !id.is_multiple_of(7);
    let messages: Vec<Outgoing> = (0..1500)
        .map(|id| message(id, if routable(id) { "maintenance.test" } else { "nowhere.test" }))
        .collect();
    let fates = publisher.publish_batch(&messages).await.expect("a channel");
    for (id, fate) in fates.iter().enumerate() {
        assert_eq!(*fate, if routable(id) { Fate::Confirmed } else { Fate::Returned }, "message {id}");
    }
    let mut consumer = broker.consumer(Queue::Maintenance, 100);
    for id in (0..1500).filter(|id| routable(*id)) {
        let delivery = within("a delivery", consumer.next()).await.expect("not draining");
        assert_eq!(delivery.body(), id.to_string().as_bytes());
        assert!(delivery.ack().await);
    }
    process.stop().await;
}

#[tokio::test]
async fn a_consumer_survives_the_deletion_of_its_queue() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    let mut consumer = broker.consumer(Queue::Maintenance, 10);
    deliver(&broker, 1).await;
    let first = within("a delivery", consumer.next()).await.expect("not draining");
    first.ack().await;
    broker.delete_topology().await.expect("deleted");
    let consuming = async {
        loop {
            let delivery = consumer.next().await.expect("not draining");
            delivery.ack().await;
            if delivery.body() == b"2" {
                return;
            }
        }
    };
    within("the message after the deletion", async { tokio::join!(consuming, deliver(&broker, 2)) }).await;
    process.stop().await;
}

#[tokio::test]
async fn cut_connections_are_made_anew() {
    let rig = Rig::new().await;
    let (_to_database, proxy, place) = rig.proxied().await;
    let (broker, process) = rig.bare_broker_at(&place.broker);
    let mut consumer = broker.consumer(Queue::Maintenance, 10);
    for id in 0..3 {
        deliver(&broker, id).await;
        eventually("the message of this round", async || {
            let delivery = consumer.next().await.expect("not draining");
            // Acknowledged over a connection that is gone, it comes again.
            delivery.ack().await;
            (delivery.body() == id.to_string().as_bytes()).then_some(())
        })
        .await;
        proxy.cut();
    }
    process.stop().await;
}

#[tokio::test]
async fn what_a_paused_consumer_holds_goes_to_another() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    for id in 0..5 {
        deliver(&broker, id).await;
    }
    let mut full = broker.consumer(Queue::Maintenance, 5);
    let held = within("a delivery", full.next()).await.expect("not draining");
    full.pause().await;
    assert!(!held.ack().await, "its channel is closed");
    let mut free = broker.consumer(Queue::Maintenance, 5);
    let mut bodies = Vec::new();
    for _ in 0..5 {
        let delivery = within("a delivery", free.next()).await.expect("not draining");
        delivery.ack().await;
        bodies.push(delivery.body().to_vec());
    }
    bodies.sort();
    assert_eq!(bodies, [b"0", b"1", b"2", b"3", b"4"]);
    process.stop().await;
}
