//! The outbox: once, whatever is lost.

use contracts::jobs::SendMessage;
use serde_json::{Value, json};
use store::mailboxes::MailboxChange;
use store::outgoing::{self, OutgoingFile};
use uuid::Uuid;

use super::Scene;
use crate::fake_graph::Lost;

async fn write(scene: &Scene, kind: &str, payload: Value) -> Uuid {
    let file = OutgoingFile {
        name: "a.txt".to_owned(),
        content_type: "text/plain".to_owned(),
        content: vec![7; 700_000],
    };
    let files = if kind == "mail" { vec![file] } else { Vec::new() };
    let sender = if kind == "mail" { "ann" } else { "alerts" };
    let mut tx = scene.rig.db.store.tenant(scene.company()).await.expect("a transaction");
    let id = outgoing::create(&mut tx, scene.company(), (kind, sender), &payload, &files, "test")
        .await
        .expect("a row");
    tx.commit().await.expect("a commit");
    id
}

fn mail() -> Value {
    json!({ "subject": "S", "body_type": "text", "body": "B", "to": [{ "address": "bob@example.com" }] })
}

async fn row(scene: &Scene, id: Uuid) -> Value {
    scene.rig.db.rows(&format!("SELECT * FROM message_outbox WHERE id = '{id}'")).await.remove(0)
}

#[tokio::test]
async fn a_mail_goes_out_once_with_its_file() {
    let scene = Scene::new().await;
    scene.mailbox(MailboxChange::default()).await;
    let id = write(&scene, "mail", mail()).await;
    for _ in 0..2 {
        scene.run(&SendMessage { outbox_id: id }, "outbox").await;
    }
    let row = row(&scene, id).await;
    assert_eq!((&row["state"], &row["submissions"]), (&"sent".into(), &1.into()), "{row}");
    assert!(row["internet_message_id"].as_str().is_some_and(|id| id.contains("draft-")));
    assert_eq!(scene.graph.state().sent.len(), 1);
    assert_eq!(scene.graph.state().files, [("a.txt".to_owned(), 700_000)]);
    scene.end().await;
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_never_repeated() {
    let scene = Scene::new().await;
    scene.mailbox(MailboxChange::default()).await;
    scene.graph.state().lose = Lost::AfterEffect;
    let id = write(&scene, "mail", mail()).await;
    scene.run(&SendMessage { outbox_id: id }, "outbox").await;
    assert_eq!(row(&scene, id).await["state"], "sent");
    assert_eq!(scene.graph.state().sent.len(), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_card_whose_answer_was_lost_waits_for_a_person() {
    let scene = Scene::new().await;
    let card = json!({ "card": { "type": "AdaptiveCard" } });
    scene.graph.state().lose = Lost::AfterEffect;
    let id = write(&scene, "card", card.clone()).await;
    for _ in 0..3 {
        scene.run(&SendMessage { outbox_id: id }, "outbox").await;
    }
    assert_eq!(row(&scene, id).await["state"], "ambiguous");
    assert_eq!(scene.graph.state().cards.len(), 1, "never repeated blindly");
    // A worker that died between its commit and the answer leaves the same doubt.
    let died = write(&scene, "card", card).await;
    scene
        .rig
        .db
        .execute(&format!("UPDATE message_outbox SET state = 'submitting' WHERE id = '{died}'"))
        .await;
    scene.run(&SendMessage { outbox_id: died }, "outbox").await;
    assert_eq!(row(&scene, died).await["state"], "ambiguous");
    assert_eq!(scene.graph.state().cards.len(), 1);
    scene.end().await;
}
