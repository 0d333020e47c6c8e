//! Faults that only the server can cause, against a RabbitMQ of this test alone: each is counted by name and
//! healed within 15 s, without a restart.

use std::time::{Duration, Instant};

use broker::{Broker, BrokerError, Consumer, Delivery, Fate, Outgoing};
use chassis::time::deadline;
use chassis::trace::TraceContext;
use contracts::jobs::Queue;
use testkit::meter::{meter, metered};
use testkit::rig::broker_config;
use testkit::{PrivateBroker, eventually, within};
use uuid::Uuid;

/// Longest time from a fault to the next delivery.
const HEALED: Duration = Duration::from_secs(15);
/// The server's patience with an unacknowledged delivery, in milliseconds.
const ACK_TIMEOUT: u32 = 2000;

fn message(id: usize) -> Outgoing {
    Outgoing {
        message_id: format!("m{id}"),
        routing_key: "maintenance.test".to_owned(),
        body: id.to_string().into_bytes(),
        trace: TraceContext::default(),
        company: Uuid::nil(),
    }
}

async fn publish(broker: &Broker, id: usize) {
    let publisher = broker.publisher();
    eventually("the message is confirmed", async || {
        let fates = publisher.publish_batch(&[message(id)]).await.ok()?;
        (fates == [Fate::Confirmed]).then_some(())
    })
    .await;
}

async fn next(consumer: &mut Consumer) -> Delivery {
    deadline("a delivery", HEALED, consumer.next()).await.expect("healed in time").expect("not draining")
}

/// Publishes a message, and receives it within the time in which a fault must be healed.
async fn healed(broker: &Broker, consumer: &mut Consumer, id: usize) {
    let begun = Instant::now();
    publish(broker, id).await;
    let body = id.to_string().into_bytes();
    loop {
        let delivery = next(consumer).await;
        delivery.ack().await;
        if delivery.body() == body {
            println!("message {id} after {:?}", begun.elapsed());
            return;
        }
    }
}

/// An Erlang expression over the queue `Q` and its consumers' channels and tags `Cs`.
fn on_consumers(queue: &str, expression: &str) -> String {
    format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), \
         Cs = [{{element(1, C), element(2, C)}} || C <- rabbit_amqqueue:consumers(Q)], {expression}."
    )
}

fn rebuilt(cause: &str) -> f64 {
    meter("consumer_rebuilt_total", &[&format!(r#"cause="{cause}""#)])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_silent_fault_of_the_server_is_counted_and_healed() {
    meter("consumer_rebuilt_total", &[]);
    let server = PrivateBroker::start();
    server.eval(&format!(
        "application:set_env(rabbit, consumer_timeout, {ACK_TIMEOUT}), \
         application:set_env(rabbit, channel_tick_interval, 200)."
    ));
    let config = broker_config(&server.url);
    let process = testkit::rig::Process::alone();
    let broker = process.broker(&config);
    let queue = broker.topology().queue(Queue::Maintenance);
    let mut consumer = broker.consumer(Queue::Maintenance, 5);
    healed(&broker, &mut consumer, 1).await;

    closed_channels(&server, &broker, &mut consumer, &queue).await;
    ack_timeout(&broker, &mut consumer).await;
    server.eval("application:set_env(rabbit, consumer_timeout, 1800000).");
    consumer.pause().await;
    healed(&broker, &mut consumer, 25).await;
    deaf_consumers(&server, &broker, &mut consumer, &queue).await;
    alarm(&server, &broker, &mut consumer, &process).await;
    process.stop().await;
}

/// The Raft process behind a queue is gone: whoever consumes from it loses the connection. Only that queue suffers,
/// and it is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_the_server_cannot_serve_harms_no_other_and_is_replaced() {
    meter("broker_queue_faults_total", &[]);
    let server = PrivateBroker::start();
    let config = broker_config(&server.url);
    let process = testkit::rig::Process::alone();
    let broker = process.broker(&config);
    let mut other = broker.consumer(Queue::Documents, 5);
    let mut consumer = broker.consumer(Queue::Maintenance, 5);
    healed(&broker, &mut consumer, 1).await;
    let others = async {
        while let Some(delivery) = other.next().await {
            delivery.ack().await;
        }
    };
    let queue = broker.topology().queue(Queue::Maintenance);
    let story = async {
        let gone = "{Name, Node} = amqqueue:get_pid(Q), ra:force_delete_server(quorum_queues, {Name, Node})";
        server.eval(&on_consumers(&queue, gone));
        consumer.pause().await;
        let begun = Instant::now();
        let replaced = async {
            metered("broker_queues_replaced_total", &[r#"queue="jobs.maintenance""#], 1.0).await;
            publish(&broker, 2).await;
        };
        let (delivery, ()) = tokio::join!(within("a delivery", consumer.next()), replaced);
        let delivery = delivery.expect("not draining");
        assert_eq!(delivery.body(), b"2");
        assert!(delivery.ack().await);
        println!("a queue without a Raft process after {:?}", begun.elapsed());
        assert!(meter("broker_queue_faults_total", &[r#"queue="jobs.maintenance""#]) >= 3.0);
        let lost = meter("consumer_rebuilt_total", &[r#"queue="jobs.documents""#]);
        assert!(lost <= 1.0, "the others lost their connection once at most: {lost}");
        healed(&broker, &mut consumer, 3).await;
        assert_eq!(process.health.snapshot().status, "ready");
        consumer.pause().await;
        process.shutdown.begin();
    };
    tokio::join!(others, story);
    process.stop().await;
}

/// The stream of a channel that the server closed yields one error and then hangs.
async fn closed_channels(server: &PrivateBroker, broker: &Broker, consumer: &mut Consumer, queue: &str) {
    let unknown_tag = "[rabbit_channel:do(Ch, {'basic.ack', 99999, false}) || {Ch, _} <- Cs]";
    let missing_queue = "[rabbit_channel:do(Ch, {'queue.declare', 0, <<\"missing\">>, true, false, false, \
         false, false, []}) || {Ch, _} <- Cs]";
    for (id, fault, cause) in [(10, unknown_tag, "precondition_failed"), (11, missing_queue, "not_found")] {
        server.eval(&on_consumers(queue, fault));
        healed(broker, consumer, id).await;
        assert!(rebuilt(cause) >= 1.0, "{cause} is counted");
    }
}

/// A delivery that is held for too long: the server takes the channel away, and all that it holds.
async fn ack_timeout(broker: &Broker, consumer: &mut Consumer) {
    publish(broker, 20).await;
    let held = next(consumer).await;
    let again = next(consumer).await;
    assert_eq!((again.body(), again.redelivered()), (held.body(), true));
    assert!(again.ack().await);
    assert!(!held.ack().await, "its channel is gone");
    assert!(rebuilt("ack_timeout") >= 1.0 && meter("ack_not_sent_total", &[]) >= 1.0);
}

/// The server has forgotten the consumer without a word.
async fn deaf_consumers(server: &PrivateBroker, broker: &Broker, consumer: &mut Consumer, queue: &str) {
    let forget = "[ra:process_command(amqqueue:get_pid(Q), rabbit_fifo:make_checkout({Tag, Ch}, cancel, #{})) \
         || {Ch, Tag} <- Cs]";
    server.eval(&on_consumers(queue, forget));
    healed(broker, consumer, 30).await;
    assert!(rebuilt("not_registered") >= 1.0);

    // Another consumer of the queue hides it: that one takes a message and keeps it.
    let watchdog = consumer.watchdog();
    server.eval(&on_consumers(queue, forget));
    let mut other = broker.consumer(Queue::Maintenance, 1);
    publish(broker, 31).await;
    let kept = next(&mut other).await;
    let begun = Instant::now();
    publish(broker, 32).await;
    let told = async {
        loop {
            watchdog.work_is_due();
            chassis::time::pause(Duration::from_secs(1)).await;
        }
    };
    let delivery = tokio::select! {
        delivery = next(consumer) => delivery,
        () = told => unreachable!("it never ends"),
    };
    println!("a hidden deaf consumer after {:?}", begun.elapsed());
    assert!(rebuilt("silent") >= 1.0);
    delivery.ack().await;
    other.pause().await;
    drop(kept);
    while consumer_has(broker).await {
        next(consumer).await.ack().await;
    }
}

async fn consumer_has(broker: &Broker) -> bool {
    broker.depths().of(Queue::Maintenance).await.expect("an answer").ready > 0
}

/// Short of memory, the server takes no messages; what it has is still worked on.
async fn alarm(
    server: &PrivateBroker,
    broker: &Broker,
    consumer: &mut Consumer,
    process: &testkit::rig::Process,
) {
    let waiting: Vec<Outgoing> = (40..60).map(message).collect();
    let publisher = broker.publisher();
    assert_eq!(publisher.publish_batch(&waiting).await.expect("a channel"), [Fate::Confirmed; 20]);
    server.control(&["set_vm_memory_high_watermark", "0.000001"]);
    let blocked = eventually("the publisher is told that it is blocked", async || {
        let begun = Instant::now();
        let answer = publisher.publish_batch(&[message(70)]).await;
        assert!(begun.elapsed() < HEALED, "a deadline on every wait");
        answer.err()
    })
    .await;
    assert!(matches!(blocked, BrokerError::Blocked { .. }), "{blocked}");
    metered("broker_blocked", &[r#"connection="publish""#], 1.0).await;
    let health = process.health.snapshot();
    assert_eq!(health.status, "degraded", "still ready, since it consumes: {health:?}");
    for _ in 0..20 {
        assert!(within("a delivery", consumer.next()).await.expect("not draining").ack().await);
    }
    server.control(&["set_vm_memory_high_watermark", "0.6"]);
    let begun = Instant::now();
    healed(broker, consumer, 71).await;
    assert!(begun.elapsed() < HEALED);
    eventually("it is ready again", async || {
        (process.health.snapshot().status == "ready" && meter("broker_blocked", &[]) < 0.5).then_some(())
    })
    .await;
}
