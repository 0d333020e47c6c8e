//! Who owns the database changes the past, and is found out: each attack is named.

use audit_trail::Trail;
use audit_trail::verify::{Depth, verify};
use domain::audit::{Reason, Report};

use super::{NEW, OLD, Scene, sealer};

async fn judged(trail: &Trail, scene: &Scene, depth: Depth) -> Report {
    verify(trail, Some(scene.company), depth).await.expect("a judgement")
}

#[tokio::test]
async fn a_flipped_bit() {
    let scene = Scene::new().await;
    scene.keep(20).await;
    scene.attack("UPDATE audit_events SET details = jsonb_set(details, '{n}', '6') WHERE sequence = 8").await;
    let report = scene.verify(Depth::Online).await;
    assert_eq!(Scene::named(&report, Reason::Altered), scene.id(8).await);
    assert_eq!(report.checked, 7);
    scene.attack("UPDATE audit_events SET details = jsonb_set(details, '{n}', '7') WHERE sequence = 8").await;
    assert!(scene.verify(Depth::Online).await.valid, "put right again");
    scene
        .attack("UPDATE audit_events SET hash = set_byte(hash, 3, get_byte(hash, 3) # 1) WHERE sequence = 12")
        .await;
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::Altered), scene.id(12).await);
}

#[tokio::test]
async fn a_deleted_row() {
    let scene = Scene::new().await;
    scene.keep(20).await;
    scene.attack("DELETE FROM audit_events WHERE sequence = 8").await;
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::Missing), "sequence:8");
}

#[tokio::test]
async fn a_deleted_tail_also_with_the_head_and_the_checkpoints_made_to_fit() {
    let scene = Scene::new().await;
    scene.keep(10).await;
    let head = scene.db.rows("SELECT size, encode(hash, 'hex') AS hash, encode(frontier, 'hex') AS frontier, checkpoint FROM audit_chains").await;
    scene.keep(10).await;
    scene.attack("DELETE FROM audit_events WHERE sequence > 15").await;
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::Missing), "sequence:16");
    let text = |name: &str| head[0][name].as_str().expect("text").to_owned();
    scene
        .attack(&format!(
            "DELETE FROM audit_events WHERE sequence > 10; DELETE FROM audit_checkpoints WHERE number > {checkpoint};
             UPDATE audit_chains SET size = 10, hash = decode('{hash}', 'hex'), frontier = decode('{frontier}', 'hex'),
                 checkpoint = {checkpoint}",
            checkpoint = head[0]["checkpoint"],
            hash = text("hash"),
            frontier = text("frontier"),
        ))
        .await;
    // Nothing in the database speaks of it any more; what was published does.
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::CheckpointMissing), "checkpoint:2");
}

#[tokio::test]
async fn two_rows_that_change_places() {
    let scene = Scene::new().await;
    scene.keep(20).await;
    let moved = scene.id(15).await;
    scene.attack("UPDATE audit_events SET sequence = 20 - sequence WHERE sequence IN (5, 15)").await;
    let report = scene.verify(Depth::Online).await;
    assert_eq!(Scene::named(&report, Reason::Reordered), scene.id(15).await);
    assert_ne!(scene.id(15).await, moved, "it is the one that was sealed for place 5");
}

#[tokio::test]
async fn an_inserted_row() {
    let scene = Scene::new().await;
    scene.keep(20).await;
    let copy = "INSERT INTO audit_events (id, company_id, sequence, occurred_at, actor, role, action, resource, details,
            key_id, hash)
        SELECT gen_random_uuid(), company_id, sequence, occurred_at, 'nobody', role, action, resource, details, key_id, hash
        FROM audit_events WHERE sequence = 9";
    scene.attack(copy).await;
    Scene::named(&scene.verify(Depth::Online).await, Reason::Inserted);
    scene.attack("DELETE FROM audit_events WHERE actor = 'nobody'").await;
    scene.attack(&format!("{copy}; UPDATE audit_events SET sequence = 21 WHERE actor = 'nobody'")).await;
    Scene::named(&scene.verify(Depth::Online).await, Reason::Inserted);
    scene
        .attack(
            "UPDATE audit_events SET sequence = sequence + 1 WHERE sequence >= 9 AND actor <> 'nobody';
        UPDATE audit_events SET sequence = 9 WHERE actor = 'nobody'; UPDATE audit_chains SET size = 21",
        )
        .await;
    // The frontier does not fit a size of 21 any more, which is no tree at all.
    let refused = verify(&scene.trail, Some(scene.company), Depth::Online).await;
    assert!(refused.is_err() || !refused.expect("a judgement").valid);
}

#[tokio::test]
async fn an_old_checkpoint_in_the_place_of_a_new_one() {
    let scene = Scene::new().await;
    scene.keep(5).await;
    scene.keep(5).await;
    scene
        .attack("UPDATE audit_checkpoints SET note = (SELECT note FROM audit_checkpoints WHERE number = 1) WHERE number = 2")
        .await;
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::CheckpointReplayed), "checkpoint:2");
}

#[tokio::test]
async fn rows_of_two_tenants_swapped() {
    let scene = Scene::new().await;
    let other = scene.db.company().await;
    scene.act(other, 10).await;
    scene.keep(10).await;
    let (mine, theirs) = (scene.company, other);
    scene
        .attack(&format!(
            "UPDATE audit_events SET company_id = CASE company_id WHEN '{mine}'::uuid THEN '{theirs}'::uuid
                 ELSE '{mine}'::uuid END WHERE sequence = 4"
        ))
        .await;
    assert_eq!(Scene::named(&scene.verify(Depth::Online).await, Reason::Altered), scene.id(4).await);
    let theirs = verify(&scene.trail, Some(other), Depth::Online).await.expect("a judgement");
    Scene::named(&theirs, Reason::Altered);
}

#[tokio::test]
async fn a_trail_written_anew_with_a_retired_key() {
    let scene = Scene::new().await;
    scene.keep(5).await;
    let renewed = scene.keyed(NEW);
    scene.act(scene.company, 5).await;
    let keeper = sealer(&renewed);
    keeper.seal_all().await.expect("sealed");
    keeper.sign_due(true).await.expect("signed");
    keeper.publish_all().await.expect("published");
    assert!(judged(&renewed, &scene, Depth::Online).await.valid);
    // Who has the old key seals everything again with it, checkpoints and all.
    scene
        .attack(
            "DELETE FROM audit_checkpoints; DELETE FROM audit_chains;
             UPDATE audit_events SET sequence = NULL, hash = NULL, key_id = NULL,
                 actor = CASE WHEN resource = 'schedule:3' THEN 'nobody' ELSE actor END",
        )
        .await;
    let forger = sealer(&scene.keyed(OLD));
    forger.seal_all().await.expect("sealed");
    forger.sign_due(true).await.expect("signed");
    assert_eq!(
        Scene::named(&judged(&renewed, &scene, Depth::Online).await, Reason::RetiredKey),
        "checkpoint:1"
    );
    // With the stolen new key as well, what was published still says otherwise.
    scene
        .attack("DELETE FROM audit_checkpoints; UPDATE audit_chains SET checkpoint = 0, checkpoint_at = NULL")
        .await;
    keeper.sign_due(true).await.expect("signed");
    keeper.sign_due(true).await.expect("signed");
    Scene::named(&judged(&renewed, &scene, Depth::Online).await, Reason::CheckpointMismatch);
}
