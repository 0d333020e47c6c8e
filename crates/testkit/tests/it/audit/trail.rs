//! What is recorded is sealed, provable and cannot be changed.

use audit_trail::export;
use audit_trail::verify::{Depth, verify};
use domain::audit::Reason;
use outbound::audit_keys::AuditKeys;

use super::{NEW, OLD, Scene, sealer};

#[tokio::test]
async fn records_are_sealed_without_gaps_and_the_judge_agrees() {
    let scene = Scene::new().await;
    scene.keep(25).await;
    scene.keep(2500).await;
    let other = scene.db.company().await;
    scene.act(other, 3).await;
    sealer(&scene.trail).seal_all().await.expect("sealed");
    let company = scene.company;
    let gaps = scene
        .db
        .number(&format!(
            "SELECT max(sequence) - count(*) + count(*) FILTER (WHERE sequence IS NULL) FROM audit_events
             WHERE company_id = '{company}'"
        ))
        .await;
    assert_eq!(gaps, 0);
    let report = scene.verify(Depth::Archives).await;
    assert!(report.valid, "{report:?}");
    assert_eq!((report.checked, report.checkpoint.expect("a checkpoint").size), (2525, 2525));
    assert!(verify(&scene.trail, Some(other), Depth::Online).await.expect("a judgement").valid);
    assert!(verify(&scene.trail, None, Depth::Online).await.expect("a judgement").valid);
}

#[tokio::test]
async fn replicas_that_seal_at_once_make_one_chain() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        scene.act(scene.company, 300).await;
        let (a, b, c) = (sealer(&scene.trail), sealer(&scene.trail), sealer(&scene.trail));
        let (a, b, c) = tokio::join!(a.seal_all(), b.seal_all(), c.seal_all());
        for sealed in [a, b, c] {
            sealed.expect("sealed");
        }
    }
    let report = scene.verify(Depth::Online).await;
    assert!(report.valid && report.checked == 1500, "{report:?}");
}

#[tokio::test]
async fn a_quiet_hour_leaves_a_checkpoint_too() {
    let scene = Scene::new().await;
    scene.keep(1).await;
    let company = scene.company;
    // The newest checkpoint is an hour old, and nothing happened since.
    scene
        .db
        .execute("UPDATE audit_chains SET checkpoint_at = checkpoint_at - interval '1 hour', updated_at = updated_at - interval '2 hours'")
        .await;
    let sealer = sealer(&scene.trail);
    assert_eq!(sealer.sign_due(false).await.expect("signed"), 1);
    assert_eq!(sealer.sign_due(false).await.expect("signed"), 0, "not again at once");
    let number = format!("SELECT count(*) FROM audit_checkpoints WHERE company_id = '{company}'");
    assert_eq!(scene.db.number(&number).await, 2);
    assert!(scene.verify(Depth::Online).await.valid);
}

#[tokio::test]
async fn a_key_is_replaced_without_a_break() {
    let scene = Scene::new().await;
    scene.keep(3).await;
    let renewed = scene.keyed(NEW);
    scene.act(scene.company, 3).await;
    let sealer = sealer(&renewed);
    sealer.seal_all().await.expect("sealed");
    sealer.sign_due(true).await.expect("signed");
    let report = verify(&renewed, Some(scene.company), Depth::Online).await.expect("a judgement");
    assert!(report.valid && report.checked == 6, "{report:?}");
    let old = verify(&scene.trail, Some(scene.company), Depth::Online).await.expect("a judgement");
    assert!(!old.valid, "without the new key nothing of it can be judged");
}

#[tokio::test]
async fn an_export_is_judged_without_the_database() {
    let scene = Scene::new().await;
    scene.keep(60).await;
    let mut file = Vec::new();
    assert_eq!(export::write(&scene.trail, scene.company, &mut file).await.expect("written"), 60);
    let keys = AuditKeys::parse(OLD).expect("keys").historic();
    let public = AuditKeys::public(&keys.verifier_keys()).expect("public halves");
    for keys in [&keys, &public] {
        let report = export::judge(keys, &mut file.as_slice(), &[]).expect("a judgement");
        assert!(report.valid && report.checked == 60, "{report:?}");
    }
    let text = String::from_utf8(file).expect("text");
    let altered = text.replacen("schedule:7\"", "schedule:8\"", 1);
    let report = export::judge(&keys, &mut altered.as_bytes(), &[]).expect("a judgement");
    assert_eq!(Scene::named(&report, Reason::Altered), scene.id(8).await);
    let report = export::judge(&public, &mut altered.as_bytes(), &[]).expect("a judgement");
    Scene::named(&report, Reason::CheckpointMismatch);
    let lines: Vec<&str> = text.lines().collect();
    let cut = format!("{}\n", lines[..40].join("\n"));
    assert!(!export::judge(&keys, &mut cut.as_bytes(), &[]).expect("a judgement").valid);
}

#[tokio::test]
async fn the_database_refuses_its_own_users_and_its_owner() {
    let scene = Scene::new().await;
    scene.keep(2).await;
    for statement in [
        "UPDATE audit_events SET actor = 'nobody'",
        "UPDATE audit_events SET sequence = sequence + 1",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "TRUNCATE audit_events_rest",
        "UPDATE audit_checkpoints SET note = ''",
        "DELETE FROM audit_checkpoints",
        "TRUNCATE audit_checkpoints",
        "DELETE FROM audit_retention_events",
    ] {
        let refusal = store::admin::execute(&scene.db.owner_url, statement).await.expect_err(statement);
        let text = chassis::telemetry::chain(&refusal);
        assert!(text.contains("append-only"), "{statement}: {text}");
        let company = scene.company;
        let sql = format!("BEGIN; SET LOCAL app.company_id = '{company}'; {statement}; COMMIT");
        assert!(store::admin::execute(&scene.db.app_url, &sql).await.is_err(), "{statement}");
    }
    let month = scene.db.rows("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM') AS m").await;
    let truncate = format!("TRUNCATE audit_events_{}", month[0]["m"].as_str().expect("a month"));
    assert!(store::admin::execute(&scene.db.owner_url, &truncate).await.is_err());
    assert!(scene.verify(Depth::Online).await.valid);
}
