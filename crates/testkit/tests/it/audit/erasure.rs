//! Whoever is forgotten is nowhere any more, and the trail proves what it proved before.

use archive::part;
use audit_retention::{Steps, erase, retention};
use audit_trail::prove;
use audit_trail::verify::Depth;
use chassis::time::SystemClock;
use domain::audit::retention::{OTHERS, Policy};
use domain::time::Clock;
use outbound::audit_subjects::SubjectKeys;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use store::audit::{AuditEntry, Circumstances, erasures, policies, record_with};
use uuid::Uuid;

use super::{Scene, sealer};

const BASIS: &str = "GDPR Art. 17(1)(b)";

/// Everything in every table, as text.
async fn dump(scene: &Scene) -> String {
    let tables = scene
        .db
        .rows("SELECT quote_ident(tablename) AS t FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        .await;
    let mut all = String::new();
    for table in &tables {
        let name = table["t"].as_str().expect("a name");
        for row in scene.db.rows(&format!("SELECT t::text AS t FROM {name} t")).await {
            all.push_str(row["t"].as_str().unwrap_or_default());
            all.push('\n');
        }
    }
    all
}

/// Every object of the archive stores, unpacked.
fn archived(folder: &std::path::Path) -> String {
    let mut all = String::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "zst") {
                let packed = std::fs::read(&path).expect("a part");
                all.push_str(&String::from_utf8_lossy(&part::unpacked(&packed).expect("unpacked")));
            } else {
                all.push_str(&std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    all
}

/// Three people, known under different names.
fn person(n: usize) -> [String; 3] {
    [format!("Person-{n:03}-subject"), format!("person{n:03}@mail.example"), format!("198.51.100.{n}")]
}

async fn act(scene: &Scene, rng: &mut StdRng, people: usize, number: usize) {
    let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
    for n in 0..number {
        let [subject, mail, address] = person(rng.random_range(0..people));
        let [_, other, _] = person(rng.random_range(0..people));
        let entry = AuditEntry {
            actor: if rng.random_bool(0.2) { subject.to_uppercase() } else { subject.clone() },
            role: "operator".to_owned(),
            action: "schedule.pause".to_owned(),
            resource: format!("mailbox:{other}"),
            reason: Some(format!("{mail} asked, {subject} did it")),
            request_id: None,
            trace_id: None,
            details: json!({ "n": n, "share": 0.1, "big": 1e300, "to": [other.to_uppercase()], "by": subject }),
        };
        let circumstances = Circumstances {
            address: Some(address),
            job_id: None,
            changes: Some(json!({ "mail": { "before": mail, "after": null } })),
        };
        record_with(&mut tx, Some(scene.company), &entry, &circumstances).await.expect("a record");
    }
    tx.commit().await.expect("a commit");
}

async fn ask(scene: &Scene, names: &[String]) -> Uuid {
    let keys = SubjectKeys::development();
    let company = scene.company;
    let lookups = names.iter().flat_map(|name| keys.lookups(company.uuid(), name)).collect();
    let id = chassis::ids::new_id();
    let asked = erasures::Asked { basis: BASIS.to_owned(), lookups };
    let mut tx = scene.db.store.tenant(company).await.expect("a transaction");
    erasures::ask(&mut tx, company, id, chassis::ids::new_id(), &asked).await.expect("asked");
    tx.commit().await.expect("a commit");
    id
}

fn steps(scene: &Scene) -> Steps {
    Steps::alone(&scene.db.store, scene.company, chassis::ids::new_id())
}

async fn keep(scene: &Scene, policy: Policy) {
    let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
    policies::replace(&mut tx, scene.company, &[policy], "nobody").await.expect("policies");
    tx.commit().await.expect("a commit");
}

#[tokio::test]
async fn any_people_are_erased_and_every_proof_holds() {
    let seed = u64::from_be_bytes(chassis::ids::random_bytes());
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let scene = Scene::new().await;
    let people = 9;
    act(&scene, &mut rng, people, 60).await;
    scene.keep(1).await;
    // Some of them in an archive alone, some in both, some online.
    let purged = Policy {
        class: OTHERS.to_owned(),
        archive_after_days: 0,
        purge_after_days: Some(0),
        legal_hold: false,
    };
    keep(&scene, purged.clone()).await;
    retention::run(&scene.trail, &steps(&scene), SystemClock.now()).await.expect("a run");
    keep(&scene, Policy { purge_after_days: None, ..purged }).await;
    act(&scene, &mut rng, people, 60).await;
    scene.keep(1).await;
    retention::run(&scene.trail, &steps(&scene), SystemClock.now()).await.expect("a run");
    act(&scene, &mut rng, people, 60).await;
    scene.keep(1).await;
    let keys = &scene.trail.keys;
    let proofs = [
        prove::inclusion_anywhere(&scene.trail, scene.company, 7).await.expect("a proof"),
        prove::inclusion_anywhere(&scene.trail, scene.company, 130).await.expect("a proof"),
        prove::consistency_anywhere(&scene.trail, scene.company, (1, 3)).await.expect("a proof"),
    ];
    let mut left: Vec<usize> = (0..people).collect();
    for round in 0..3 {
        assert!(scene.verify(Depth::Archives).await.valid, "seed {seed}, round {round}");
        // Records that nobody sealed yet name them too.
        act(&scene, &mut rng, people, 5).await;
        let some = rng.random_range(1..=2);
        let gone: Vec<usize> = left.sample(&mut rng, some).copied().collect();
        let names: Vec<String> = gone.iter().flat_map(|n| person(*n)[..2].to_vec()).collect();
        let id = ask(&scene, &names).await;
        let done = erase(&scene.trail, &steps(&scene), id).await.expect("erased");
        assert_eq!(done["erased"], json!(names.len()), "seed {seed}: {done}");
        assert_eq!(erase(&scene.trail, &steps(&scene), id).await.expect("again")["already"], true);
        left.retain(|n| !gone.contains(n));
        scene.keep(1).await;
        let report = scene.verify(Depth::Archives).await;
        assert!(report.valid, "seed {seed}, round {round}: {report:?}");
        for proof in &proofs {
            assert_eq!(prove::fault(proof, keys), None, "seed {seed}");
        }
        // Whom the records name again afterwards is somebody new: none was written since.
        let (tables, files) = (dump(&scene).await.to_lowercase(), archived(&scene.folder).to_lowercase());
        for name in gone.iter().flat_map(|n| person(*n)) {
            let name = name.to_lowercase();
            assert!(!tables.contains(&name) && !files.contains(&name), "seed {seed}: {name} is still there");
        }
        assert!(files.contains("<subject:") && tables.contains("<subject:"), "the others are behind markers");
        for n in &gone {
            let [subject, _, address] = person(*n);
            let query = format!(
                "SELECT count(*) FROM audit_events WHERE actor ILIKE '%{subject}%' OR address = '{address}'"
            );
            assert_eq!(scene.db.number(&query).await, 0);
        }
        // A person who acts again has a new key; here nobody does who was erased.
        if left.len() < 4 {
            break;
        }
    }
    let records = scene
        .db
        .rows("SELECT details FROM audit_events WHERE action = 'erasure.done' ORDER BY sequence")
        .await;
    assert!(!records.is_empty() && records.iter().all(|row| row["details"]["basis"] == BASIS));
}

#[tokio::test]
async fn a_legal_hold_refuses() {
    let scene = Scene::new().await;
    scene.keep(5).await;
    let held =
        Policy { class: "grant".to_owned(), archive_after_days: 0, purge_after_days: None, legal_hold: true };
    keep(&scene, held).await;
    let id = ask(&scene, &["user-3".to_owned()]).await;
    let refused = erase(&scene.trail, &steps(&scene), id).await.expect_err("held");
    assert_eq!(refused.code(), "legal_hold");
    assert_eq!(scene.db.number("SELECT count(*) FROM audit_subjects WHERE erased_at IS NOT NULL").await, 0);
    let rows = scene.db.rows("SELECT state, cardinality(lookups) AS n FROM audit_erasures").await;
    assert_eq!((&rows[0]["state"], &rows[0]["n"]), (&json!("refused"), &json!(0)));
    assert_eq!(scene.db.number("SELECT count(*) FROM audit_events WHERE action = 'erasure.refuse'").await, 1);
}

#[tokio::test]
async fn a_new_key_takes_over_and_the_old_one_can_go() {
    let ring = |text: &str| {
        std::sync::Arc::new(SubjectKeys::new(outbound::vault::KeyRing::parse(text).expect("a ring")))
    };
    let mut scene = Scene::new().await;
    scene.trail.subjects = Some(ring(super::OLD));
    scene.keep(5).await;
    let subjects = scene.db.number("SELECT count(*) FROM audit_subjects").await;
    scene.trail.subjects = Some(ring(super::NEW));
    assert_eq!(
        sealer(&scene.trail).renew_keys().await.expect("renewed"),
        usize::try_from(subjects).expect("few")
    );
    assert_eq!(sealer(&scene.trail).renew_keys().await.expect("renewed"), 0);
    let alone = super::NEW.split(',').next().expect("an entry");
    scene.trail.subjects = Some(ring(alone));
    scene.keep(5).await;
    assert_eq!(scene.db.number("SELECT count(*) FROM audit_subjects").await, subjects, "the same people");
    assert!(scene.verify(Depth::Online).await.valid);
}

#[tokio::test]
async fn a_proof_stands_alone_and_an_edited_one_falls() {
    let scene = Scene::new().await;
    for number in [3, 40, 7] {
        scene.keep(number).await;
    }
    let keys =
        outbound::audit_keys::AuditKeys::public(&scene.trail.keys.verifier_keys()).expect("public halves");
    let mut tx = scene.db.store.tenant(scene.company).await.expect("a transaction");
    for sequence in [1, 3, 4, 43, 50] {
        let proof = prove::inclusion(&mut tx, scene.company, sequence, 100).await.expect("a proof");
        let text = serde_json::to_string(&proof).expect("JSON");
        let read: prove::Proof = serde_json::from_str(&text).expect("a proof");
        assert_eq!(prove::fault(&read, &keys), None, "{text}");
        let mut edited: Value = serde_json::from_str(&text).expect("JSON");
        edited["record"]["action"] = json!("schedule.resume");
        let edited: prove::Proof = serde_json::from_value(edited).expect("a proof");
        assert!(prove::fault(&edited, &keys).is_some());
    }
    let grown = prove::consistency(&mut tx, scene.company, (1, 3), 100).await.expect("a proof");
    assert_eq!(prove::fault(&grown, &keys), None);
    let prove::Proof::Consistency { proof, from, to } = grown else { panic!("another kind") };
    let backwards = prove::Proof::Consistency { proof, from: to, to: from };
    assert!(prove::fault(&backwards, &keys).is_some());
    let far = prove::inclusion(&mut tx, scene.company, 50, 10).await.expect_err("too far");
    assert!(matches!(far, prove::ProveError::TooFar { records: 50 }), "{far:?}");
    let none = prove::inclusion(&mut tx, scene.company, 51, 100).await.expect_err("none");
    assert!(matches!(none, prove::ProveError::NotThere { .. }), "{none:?}");
}
