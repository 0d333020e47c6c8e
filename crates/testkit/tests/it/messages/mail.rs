//! Mailboxes: walks, hints, audits, removals.

use chassis::time::SystemClock;
use contracts::jobs::{SweepMessages, SyncMailbox, SyncMode, Trigger, mailbox_resource};
use domain::time::Clock;
use store::mailboxes::MailboxChange;

use super::Scene;

#[tokio::test]
async fn a_mailbox_is_read_and_followed_whatever_its_feed_forgets() {
    let scene = Scene::new().await;
    scene.mailbox(MailboxChange::default()).await;
    for n in 0..5 {
        scene.graph.state().arrive("in", &format!("m{n}"));
    }
    scene.graph.state().arrive("old", "o1");
    let first = scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    assert_eq!(first["messages_added"], 6, "{first}");
    assert_eq!(scene.stored().await, scene.theirs());
    {
        let mut state = scene.graph.state();
        state.shift("m0", "old");
        state.there_and_back("m1");
        state.delete("m2");
        state.arrive("in", "m5");
    }
    let second = scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    assert_eq!(scene.stored().await, scene.theirs());
    assert_eq!(second["messages_deleted"], 1, "there and back is not deleted: {second}");
    // A page that never came, and a token that is gone in the middle of a round.
    {
        let mut state = scene.graph.state();
        state.arrive("in", "m6");
        state.log.pop();
        state.delete("m3");
        state.log.pop();
        state.lost_tokens.insert("old".to_owned());
        state.arrive("old", "o2");
    }
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    let before = scene.stored().await;
    assert!(before.contains(&"o2@old".to_owned()), "the token's folder was enumerated: {before:?}");
    scene.graph.state().arrive("in", "m7");
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    // One too many and one too few hide each other from a count; the enumeration finds both.
    scene.sync(SyncMode::Full, Trigger::Manual).await;
    assert_eq!(scene.stored().await, scene.theirs());
    // Reset and full re-sync end equal.
    let count = scene.rig.db.number("SELECT count(*) FROM messages WHERE deleted_at IS NULL").await;
    scene.rig.db.execute("TRUNCATE microsoft_sync_state").await;
    scene.sync(SyncMode::Full, Trigger::Manual).await;
    assert_eq!(scene.stored().await, scene.theirs());
    let after = scene.rig.db.number("SELECT count(*) FROM messages WHERE deleted_at IS NULL").await;
    assert_eq!(after, count);
    scene.end().await;
}

#[tokio::test]
async fn a_count_that_differs_is_mended() {
    let scene = Scene::new().await;
    scene.mailbox(MailboxChange::default()).await;
    scene.graph.state().arrive("in", "a");
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    {
        let mut state = scene.graph.state();
        for id in ["b", "c"] {
            state.arrive("in", id);
            state.log.pop();
        }
    }
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    assert_eq!(scene.stored().await, ["a@in", "b@in", "c@in"]);
    scene.end().await;
}

#[tokio::test]
async fn hints_are_read_by_themselves_and_settled() {
    let scene = Scene::new().await;
    scene.mailbox(MailboxChange::default()).await;
    scene.graph.state().arrive("in", "a");
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    let walks = scene.calls("message_delta");
    {
        let mut state = scene.graph.state();
        state.arrive("in", "b");
        state.messages.remove("a");
    }
    let key = mailbox_resource("ann");
    scene.hint(&key, &["a", "b"]).await;
    let result = scene.sync(SyncMode::Delta, Trigger::Webhook).await;
    assert_eq!((&result["hints"], &result["messages_deleted"]), (&2.into(), &1.into()), "{result}");
    assert_eq!(scene.stored().await, ["b@in"]);
    assert_eq!(scene.calls("message_delta"), walks, "nobody walked");
    assert_eq!(scene.rig.db.number("SELECT count(*) FROM notification_hints").await, 0);
    // A notification without a message says that some were lost.
    scene.graph.state().arrive("in", "c");
    scene.sync(SyncMode::Delta, Trigger::Webhook).await;
    assert_eq!(scene.stored().await, ["b@in", "c@in"]);
    scene.end().await;
}

#[tokio::test]
async fn a_mass_deletion_waits_for_a_person() {
    let scene = Scene::new().await;
    scene.mailbox(MailboxChange::default()).await;
    for n in 0..80 {
        scene.graph.state().arrive("in", &format!("m{n:02}"));
    }
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    for n in 0..60 {
        scene.graph.state().delete(&format!("m{n:02}"));
    }
    let parked = scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    assert_eq!(parked["withheld"]["removals"], 60, "{parked}");
    assert_eq!(scene.stored().await.len(), 80);
    let waiting = scene.rig.db.rows("SELECT source, resource_id, would_delete FROM sync_parked").await;
    assert_eq!((&waiting[0]["source"], &waiting[0]["would_delete"]), (&"mail".into(), &60.into()));
    let approved = SyncMailbox {
        user_id: "ann".to_owned(),
        mode: SyncMode::Delta,
        trigger: Trigger::Manual,
        approved_removals: Some(60),
    };
    let lookups = scene.calls("get_messages");
    scene.run(&approved, &mailbox_resource("ann")).await;
    assert_eq!(scene.stored().await, scene.theirs());
    assert_eq!(scene.calls("get_messages"), lookups, "each was looked up once");
    scene.end().await;
}

#[tokio::test]
async fn another_choice_of_what_is_kept_reads_anew() {
    let scene = Scene::new().await;
    scene.mailbox(MailboxChange::default()).await;
    scene.graph.state().arrive("in", "a");
    scene.graph.state().messages.get_mut("a").expect("it").body = Some("All of it".to_owned());
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    let bodies = "SELECT count(*) FROM messages WHERE body IS NOT NULL";
    assert_eq!(scene.rig.db.number(bodies).await, 0, "bodies are not kept unasked");
    scene.mailbox(MailboxChange { bodies: Some(true), ..MailboxChange::default() }).await;
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    assert_eq!(scene.rig.db.number(bodies).await, 1);
    scene.mailbox(MailboxChange { bodies: Some(false), ..MailboxChange::default() }).await;
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    assert_eq!(scene.rig.db.number(bodies).await, 0);
    // What came before a date is not read, and what is older is left alone.
    let later = SystemClock.now() + chrono::TimeDelta::hours(1);
    scene.mailbox(MailboxChange { since: Some(Some(later)), ..MailboxChange::default() }).await;
    scene.graph.state().arrive("in", "b");
    scene.sync(SyncMode::Delta, Trigger::Sweep).await;
    assert_eq!(scene.stored().await, ["a@in"]);
    scene.end().await;
}

#[tokio::test]
async fn a_sweep_asks_for_what_is_due() {
    let scene = Scene::new().await;
    scene.mailbox(MailboxChange::default()).await;
    scene.graph.state().arrive("in", "a");
    let swept = scene.run(&SweepMessages {}, "sweep").await;
    assert_eq!((&swept["mailboxes"], &swept["renewing"]), (&1.into(), &1.into()), "{swept}");
    testkit::eventually("the mail and a subscription", async || {
        let sql = "SELECT 1 FROM microsoft_subscriptions WHERE state = 'active' AND resource_type = 'mailbox'
            AND renew_at IS NOT NULL";
        let subscribed = !scene.rig.db.rows(sql).await.is_empty();
        (subscribed && scene.stored().await == ["a@in"]).then_some(())
    })
    .await;
    assert_eq!(scheduler::renewals::queue(&scene.rig.db.store).await.expect("a look"), 0);
    scene.rig.db.execute("UPDATE microsoft_subscriptions SET renew_at = now() - interval '1 minute'").await;
    assert_eq!(scheduler::renewals::queue(&scene.rig.db.store).await.expect("a look"), 1);
    testkit::eventually("it is renewed", async || {
        let sql = "SELECT 1 FROM microsoft_subscriptions WHERE renew_at > now()";
        (!scene.rig.db.rows(sql).await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(scene.graph.state().subscriptions.len(), 1);
    scene.end().await;
}
