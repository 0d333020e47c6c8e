use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::audit::checkpoint::{Checkpoint, key_hash};
use crate::audit::record::Record;

/// Keys `old` and `new`; a signature is a hash under the key's name, which is enough for what is judged here.
#[derive(Debug, Clone)]
struct Ring {
    old: ChainKey,
    new: ChainKey,
    active: Option<&'static str>,
}

fn ring() -> Ring {
    Ring { old: ChainKey::new(&[1; 32]), new: ChainKey::new(&[2; 32]), active: None }
}

fn signature(key: &str, body: &str) -> [u8; 64] {
    let mut out = [0; 64];
    out[..32].copy_from_slice(&Sha256::new().chain_update(key).chain_update(body).finalize());
    out
}

impl Keys for Ring {
    fn chain_key(&self, id: &str) -> Option<&ChainKey> {
        match id {
            "old" => Some(&self.old),
            "new" => Some(&self.new),
            _ => None,
        }
    }
    fn verifies(&self, note: &SignedNote) -> bool {
        note.signature == signature(&note.key_id, &note.checkpoint.body())
    }
    fn public_only(&self) -> bool {
        false
    }
    fn active(&self) -> Option<&str> {
        self.active
    }
}

const COMPANY: Uuid = Uuid::from_u128(7);

fn time(n: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(n).expect("small"))
}

fn record(n: u64, key: &str) -> Record {
    Record {
        id: Uuid::from_u128(u128::from(n) + 1000),
        company_id: Some(COMPANY),
        sequence: n,
        key_id: key.to_owned(),
        occurred_at: time(n),
        actor: "someone".to_owned(),
        role: "admin".to_owned(),
        address: None,
        action: "thing.do".to_owned(),
        resource: format!("thing:{n}"),
        reason: None,
        request_id: None,
        trace_id: None,
        job_id: None,
        changes: None,
        details: json!({ "n": n }),
    }
}

struct Trail {
    records: Vec<Sealed>,
    notes: Vec<(u64, String)>,
}

fn note(key: &str, number: u64, frontier: &Frontier, head: Hash) -> String {
    let checkpoint = Checkpoint {
        origin: origin(Some(COMPANY)),
        size: frontier.size(),
        root: frontier.root(),
        number,
        at: time(number),
        head,
    };
    let signature = signature(key, &checkpoint.body());
    SignedNote { checkpoint, key_id: key.to_owned(), key_hash: key_hash(key, &[0; 32]), signature }.text()
}

/// `n` records with a checkpoint after every fourth; the key is replaced after `turn` of them.
fn trail(n: u64, turn: u64) -> Trail {
    let (keys, mut hash, mut frontier) = (ring(), Hash::default(), Frontier::new());
    let mut all = Trail { records: Vec::new(), notes: Vec::new() };
    for at in 1..=n {
        let key = if at <= turn { "old" } else { "new" };
        let record = record(at, key);
        hash = link(keys.chain_key(key).expect("a key"), &hash, at, &record.canonical());
        let sealed = Sealed { record, hash };
        frontier.push(sealed.leaf());
        all.records.push(sealed);
        if at % 4 == 0 {
            all.notes.push((at / 4, note(key, at / 4, &frontier, hash)));
        }
    }
    all
}

fn judge_with(trail: &Trail, head: Option<u64>, anchors: &[String], keys: Ring) -> Report {
    let mut verifier = Verifier::new(keys, Some(COMPANY), Position::default());
    verifier.checkpoints(&trail.notes, anchors);
    for sealed in &trail.records {
        verifier.push(sealed);
    }
    verifier.finish(head)
}

fn judge(trail: &Trail) -> Report {
    judge_with(trail, None, &[], ring())
}

fn first(report: &Report) -> (String, Reason) {
    let fault = report.first_fault.clone().expect("a fault");
    assert!(!report.valid && !fault.detail.is_empty());
    (fault.id, fault.reason)
}

fn id(n: u64) -> String {
    record(n, "old").id.to_string()
}

#[test]
fn an_honest_trail_is_valid_also_from_its_middle() {
    let trail = trail(10, 6);
    let report =
        judge_with(&trail, Some(10), &[trail.notes[1].1.clone()], Ring { active: Some("new"), ..ring() });
    assert_eq!((report.valid, report.checked, &report.first_fault), (true, 10, &None));
    assert_eq!(report.checkpoint.expect("a checkpoint").size, 8);

    let mut verifier = Verifier::new(ring(), Some(COMPANY), Position::default());
    for sealed in &trail.records[..5] {
        verifier.push(sealed);
    }
    let mut rest = Verifier::new(ring(), Some(COMPANY), verifier.position());
    rest.checkpoints(&trail.notes, &[]);
    for sealed in &trail.records[5..] {
        rest.push(sealed);
    }
    let report = rest.finish(Some(10));
    assert!(report.valid && report.checked == 5, "{report:?}");
}

#[test]
fn each_attack_is_named() {
    let mut altered = trail(10, 10);
    altered.records[4].record.details = json!({ "n": 99 });
    assert_eq!(first(&judge(&altered)), (id(5), Reason::Altered));

    let mut missing = trail(10, 10);
    missing.records.remove(4);
    assert_eq!(first(&judge(&missing)), ("sequence:5".to_owned(), Reason::Missing));

    let mut tail = trail(10, 10);
    tail.records.truncate(6);
    assert_eq!(first(&judge(&tail)), ("sequence:7".to_owned(), Reason::Missing));
    tail.notes.truncate(1);
    assert_eq!(first(&judge_with(&tail, Some(10), &[], ring())), ("sequence:7".to_owned(), Reason::Missing));

    // The whole rows change places, and their numbers are made to fit.
    let mut reordered = trail(10, 10);
    reordered.records.swap(2, 6);
    for (index, sealed) in reordered.records.iter_mut().enumerate() {
        sealed.record.sequence = index as u64 + 1;
    }
    assert_eq!(first(&judge(&reordered)), (id(3), Reason::Reordered));
    let mut neighbours = trail(10, 10);
    neighbours.records.swap(2, 3);
    neighbours.records[2].record.sequence = 3;
    neighbours.records[3].record.sequence = 4;
    assert_eq!(first(&judge(&neighbours)).1, Reason::Reordered);

    let mut twice = trail(10, 10);
    let mut forged = twice.records[4].clone();
    forged.record.id = Uuid::from_u128(5);
    twice.records.insert(4, forged.clone());
    assert_eq!(first(&judge(&twice)), (forged.record.id.to_string(), Reason::Inserted));
    let mut behind = trail(10, 10);
    behind.records.insert(5, forged.clone());
    assert_eq!(first(&judge(&behind)), (forged.record.id.to_string(), Reason::Inserted));
    let mut shifted = twice;
    for (index, sealed) in shifted.records.iter_mut().enumerate() {
        sealed.record.sequence = index as u64 + 1;
    }
    assert_eq!(first(&judge(&shifted)), (forged.record.id.to_string(), Reason::Inserted));

    let mut foreign = trail(10, 10);
    foreign.records[4].record.company_id = Some(Uuid::from_u128(8));
    assert_eq!(first(&judge(&foreign)), (id(5), Reason::Foreign));
    // An added record at the end that was never counted.
    assert_eq!(first(&judge_with(&trail(10, 10), Some(9), &[], ring())).1, Reason::Inserted);
}

#[test]
fn checkpoints_are_judged_too() {
    let published = trail(10, 10).notes[1].1.clone();
    let mut replayed = trail(10, 10);
    replayed.notes[1].1 = replayed.notes[0].1.clone();
    assert_eq!(first(&judge(&replayed)), ("checkpoint:2".to_owned(), Reason::CheckpointReplayed));
    let mut cut = trail(6, 6);
    let found = judge_with(&cut, Some(6), std::slice::from_ref(&published), ring());
    assert_eq!(first(&found), ("checkpoint:2".to_owned(), Reason::CheckpointMissing));
    cut.notes[0].1 = cut.notes[0].1.replace("\n4\n", "\n3\n");
    assert_eq!(first(&judge(&cut)), ("checkpoint:1".to_owned(), Reason::CheckpointAltered));
    let mut gap = trail(12, 12);
    gap.notes.remove(1);
    assert_eq!(first(&judge(&gap)), ("checkpoint:2".to_owned(), Reason::CheckpointMissing));

    // Who has the key can write another trail, but not one that was published.
    let mut rewritten = trail(10, 0);
    let found = judge_with(&rewritten, Some(10), &[published], ring());
    assert_eq!(first(&found), ("checkpoint:2".to_owned(), Reason::CheckpointMismatch));
    rewritten.notes.clear();
    let stays = judge_with(&rewritten, Some(10), &[], ring());
    assert!(stays.valid, "without any checkpoint only the chain speaks");
}

#[test]
fn a_retired_key_seals_and_signs_nothing_any_more() {
    let keys = ring();
    let mut records = trail(10, 6);
    let (last, before) = (records.records.len() - 1, records.records.len() - 2);
    let again = record(10, "old");
    let hash = link(&keys.old, &records.records[before].hash, 10, &again.canonical());
    records.records[last] = Sealed { record: again, hash };
    assert_eq!(first(&judge(&records)), (id(10), Reason::RetiredKey));

    let whole = trail(10, 10);
    let active = Ring { active: Some("new"), ..ring() };
    assert_eq!(
        first(&judge_with(&whole, None, &[], active)),
        ("checkpoint:2".to_owned(), Reason::RetiredKey)
    );

    let mut unknown = trail(3, 3);
    unknown.records[1].record.key_id = "other".to_owned();
    assert_eq!(first(&judge(&unknown)), (id(2), Reason::UnknownKey));
}

proptest! {
    #[test]
    fn no_single_change_goes_unseen(at in 0_usize..40, kind in 0_u8..5, other in 0_usize..40) {
        let mut trail = trail(40, 17);
        match kind {
            0 => trail.records[at].record.actor.push('x'),
            1 => drop(trail.records.remove(at)),
            2 => trail.records[at].hash.0[31] ^= 1,
            3 => {
                prop_assume!(at != other);
                trail.records.swap(at, other);
                for (index, sealed) in trail.records.iter_mut().enumerate() {
                    sealed.record.sequence = index as u64 + 1;
                }
            }
            _ => {
                let copy = trail.records[other].clone();
                trail.records.insert(at, copy);
            }
        }
        prop_assert!(!judge(&trail).valid);
    }
}
