//! The broker crate against a real RabbitMQ: what it promises when things break.

use broker::{Broker, Consumer, Depth, Fate, Outgoing};
use chassis::trace::TraceContext;
use contracts::jobs::Queue;
use testkit::meter::{meter, metered};
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
    let messages: Vec<Outgoing> = (0..5000)
        .map(|id| message(id, if routable(id) { "maintenance.test" } else { "nowhere.test" }))
        .collect();
    meter("publish_returned_total", &[]);
    let fates = publisher.publish_batch(&messages).await.expect("a channel");
    let returned = (0..5000).filter(|id| !routable(*id)).count();
    assert!(
        (meter("publish_returned_total", &[]) - f64::from(u32::try_from(returned).expect("small"))).abs()
            < 0.1
    );
    for (id, fate) in fates.iter().enumerate() {
        assert_eq!(*fate, if routable(id) { Fate::Confirmed } else { Fate::Returned }, "message {id}");
    }
    let mut consumer = broker.consumer(Queue::Maintenance, 100);
    for id in (0..5000).filter(|id| routable(*id)) {
        let delivery = within("a delivery", consumer.next()).await.expect("not draining");
        assert_eq!(delivery.body(), id.to_string().as_bytes());
        assert!(delivery.ack().await);
    }
    process.stop().await;
}

#[tokio::test]
async fn a_consumer_survives_the_deletion_of_its_queue() {
    meter("consumer_rebuilt_total", &[]);
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
    metered("consumer_rebuilt_total", &[r#"cause="cancelled""#], 1.0).await;
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
    meter("ack_not_sent_total", &[]);
    assert!(!held.ack().await, "its channel is closed");
    metered("ack_not_sent_total", &[r#"queue="jobs.maintenance""#], 1.0).await;
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

/// Holds what a consumer with a prefetch of five is given, and shows that the rest stays in the queue.
async fn five_of_twenty(broker: &Broker, consumer: &mut Consumer) {
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(within("a delivery", consumer.next()).await.expect("not draining"));
    }
    let depths = broker.depths();
    // Asked often, since a lost prefetch would empty the queue after a moment.
    for _ in 0..20 {
        assert_eq!(depths.of(Queue::Maintenance).await.expect("an answer").ready, 15);
    }
}

#[tokio::test]
async fn a_reconnected_consumer_is_given_no_more_than_its_prefetch() {
    let rig = Rig::new().await;
    let (_to_database, proxy, place) = rig.proxied().await;
    let (broker, process) = rig.bare_broker_at(&place.broker);
    let messages: Vec<Outgoing> = (0..20).map(|id| message(id, "maintenance.test")).collect();
    let fates = broker.publisher().publish_batch(&messages).await.expect("a channel");
    assert_eq!(fates, [Fate::Confirmed; 20]);
    let mut consumer = broker.consumer(Queue::Maintenance, 5);
    five_of_twenty(&broker, &mut consumer).await;
    for _ in 0..3 {
        proxy.cut();
        eventually("the broker has taken its messages back", async || {
            let depth = rig_depth(&rig).await;
            (depth.consumers == 0 && depth.ready == 20).then_some(())
        })
        .await;
        five_of_twenty(&broker, &mut consumer).await;
    }
    process.stop().await;
}

/// What the queue holds, asked over a connection that nobody cuts.
async fn rig_depth(rig: &Rig) -> Depth {
    let (broker, process) = rig.bare_broker();
    let depth = broker.depths().of(Queue::Maintenance).await.expect("an answer");
    process.stop().await;
    depth
}

#[tokio::test]
async fn the_depth_of_a_queue_is_current() {
    let rig = Rig::new().await;
    let (broker, process) = rig.bare_broker();
    let (publisher, depths) = (broker.publisher(), broker.depths());
    let mut consumer = broker.consumer(Queue::Maintenance, 1);
    let mut expected = 0;
    for round in 0..50 {
        let messages: Vec<Outgoing> =
            (0..20).map(|id| message(round * 20 + id, "maintenance.test")).collect();
        let fates = publisher.publish_batch(&messages).await.expect("a channel");
        assert_eq!(fates, [Fate::Confirmed; 20]);
        expected += 20;
        assert_eq!(depths.of(Queue::Maintenance).await.expect("an answer").ready, expected, "round {round}");
        if round % 10 == 9 {
            for _ in 0..20 {
                within("a delivery", consumer.next()).await.expect("not draining").ack().await;
            }
            // One more is delivered and waits for its acknowledgement.
            expected -= 21;
            eventually("the acknowledgements count", async || {
                (depths.of(Queue::Maintenance).await.ok()?.ready == expected).then_some(())
            })
            .await;
            consumer.pause().await;
            expected += 1;
        }
    }
    // A deleted queue is there again, and empty.
    meter("broker_queue_missing_total", &[]);
    broker.delete_topology().await.expect("deleted");
    assert_eq!(depths.of(Queue::Maintenance).await.expect("an answer").ready, 0);
    metered("broker_queue_missing_total", &[], 1.0).await;
    deliver(&broker, 1).await;
    process.stop().await;
}

#[tokio::test]
async fn a_broker_that_was_away_for_long_is_used_again_at_once() {
    meter("broker_connect_failures_total", &[]);
    let rig = Rig::new().await;
    let (_to_database, proxy, place) = rig.proxied().await;
    let (broker, process) = rig.bare_broker_at(&place.broker);
    let mut consumer = broker.consumer(Queue::Maintenance, 10);
    deliver(&broker, 1).await;
    within("a delivery", consumer.next()).await.expect("not draining").ack().await;
    proxy.close();
    let consuming = async { while consumer.next().await.expect("not draining").body() != b"2" {} };
    let coming_back = async {
        metered("broker_connect_failures_total", &[], 6.0).await;
        assert!(!process.health.ready(), "it says that the broker is away");
        assert!(meter("dependency_up", &[r#"dependency="broker""#]) < 0.5);
        proxy.open();
        deliver(&broker, 2).await;
        eventually("it is ready again", async || process.health.ready().then_some(())).await;
    };
    within("consuming again", async { tokio::join!(consuming, coming_back) }).await;
    process.stop().await;
}
