//! The invariants: what must be true at the end, whatever happened meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::facts::{Facts, JobFacts};
use super::payload::Expect;

/// What kind of promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// A job has no effect and is in no place where a person would find it.
    Lost,
    /// A job has two effects, or an effect and another end as well.
    Doubled,
    /// A job of a resource overtook an earlier one of the same priority, or ran beside another one.
    Order,
    /// A job ended otherwise than it had to.
    Ending,
    /// A checkpointed step was done twice or left out.
    Step,
    /// A request that coalesced was served by a run that had begun before it.
    Coalescing,
    /// A job began before its time.
    Early,
    /// Something that was never committed is there.
    Ghost,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Lost => "lost",
            Broken::Doubled => "doubles",
            Broken::Order => "order violations",
            Broken::Ending => "wrong endings",
            Broken::Step => "steps repeated or missing",
            Broken::Coalescing => "coalesced requests not served",
            Broken::Early => "started early",
            Broken::Ghost => "traces of rolled back work",
        })
    }
}

/// Every kind, for tables that show zeros too.
pub const KINDS: [Broken; 8] = [
    Broken::Lost,
    Broken::Doubled,
    Broken::Order,
    Broken::Ending,
    Broken::Step,
    Broken::Coalescing,
    Broken::Early,
    Broken::Ghost,
];

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub kind: Broken,
    /// What was found.
    pub what: String,
}

/// Everything that is wrong.
pub fn violations(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut note = |kind, what: String| found.push(Violation { kind, what });
    let children = facts.children();
    for job in &facts.jobs {
        ending(job, &mut note);
        steps(job, &mut note);
        if job.effects.len() == 1 && children.get(job.job_id.as_str()).copied().unwrap_or(0) != job.spawns {
            note(Broken::Ending, format!("its follow-up jobs are not {}: {job:?}", job.spawns));
        }
        if job.effects.is_empty() && children.contains_key(job.job_id.as_str()) {
            note(Broken::Ghost, format!("follow-up jobs of a job without an effect: {job:?}"));
        }
        if job.effects.iter().any(|effect| job.run_at.is_some_and(|at| effect.started_at < at)) {
            note(Broken::Early, format!("{job:?}"));
        }
    }
    order(facts, &mut note);
    overlaps(facts, &mut note);
    coalescing(facts, &mut note);
    for stray in &facts.strays {
        note(Broken::Ghost, format!("an effect of a job that nobody asked for: {stray}"));
    }
    for ghost in &facts.ghosts {
        note(Broken::Ghost, format!("a rolled back job left {ghost}"));
    }
    found
}

/// Exactly one of: its effect, the dead letters, parked, cancelled as asked, folded into the job that serves it.
fn ending(job: &JobFacts, note: &mut impl FnMut(Broken, String)) {
    let state = job.state.as_deref().unwrap_or("no row");
    let effects = job.effects.len();
    if effects > 1 {
        return note(Broken::Doubled, format!("{effects} effects: {job:?}"));
    }
    if effects == 1 {
        return match state {
            "succeeded" if matches!(job.expect, Expect::Effect | Expect::EffectOrDeadline) => {}
            "succeeded" => note(Broken::Ending, format!("an effect instead of {:?}: {job:?}", job.expect)),
            _ => note(Broken::Doubled, format!("an effect, and it is {state}: {job:?}")),
        };
    }
    let dead_as_asked = match job.expect {
        Expect::Dead => {
            let spent = job.attempt >= job.max_attempts;
            spent || job.last_error.as_ref().is_some_and(|error| error["code"] == "chaos_refused")
        }
        Expect::CrashLoop => job.fingerprint.as_deref() == Some("crash_loop"),
        Expect::EffectOrDeadline => job.fingerprint.as_deref() == Some("deadline"),
        _ => false,
    };
    match (state, job.expect) {
        ("dead", _) if dead_as_asked => {}
        ("parked", Expect::Parked) | ("scheduled", Expect::Waits) => {}
        ("cancelled", _) if job.cancel || job.folded_into.is_some() => {}
        ("dead" | "parked" | "cancelled", _) => {
            note(Broken::Ending, format!("{state} instead of {:?}: {job:?}", job.expect));
        }
        _ => note(Broken::Lost, format!("no effect, and it is {state}: {job:?}")),
    }
}

/// Each step once, in order, by attempts that followed one another.
fn steps(job: &JobFacts, note: &mut impl FnMut(Broken, String)) {
    let numbered = job.done_steps.iter().zip(0..).all(|(done, n)| done.step == n);
    let fenced = job.done_steps.windows(2).all(|pair| pair[0].epoch <= pair[1].epoch);
    let complete = job.effects.is_empty() || i64::try_from(job.done_steps.len()) == Ok(job.steps);
    if !(numbered && fenced && complete) {
        note(Broken::Step, format!("{:?} of {}: {job:?}", job.done_steps, job.steps));
    }
}

type Line<'a> = Vec<(&'a JobFacts, i64)>;

/// Jobs with effects by resource.
fn by_resource(facts: &Facts) -> BTreeMap<(&str, &str), Line<'_>> {
    let mut lines: BTreeMap<_, Line<'_>> = BTreeMap::new();
    for job in &facts.jobs {
        let (Some(resource), [effect, ..]) = (&job.resource, job.effects.as_slice()) else { continue };
        lines.entry((job.company_id.as_str(), resource.as_str())).or_default().push((job, effect.n));
    }
    for line in lines.values_mut() {
        line.sort_by_key(|(_, n)| *n);
    }
    lines
}

/// Whether nothing but its place in the line decided when it ran: it was not delayed by request or by a failure.
fn keeps_its_place(job: &JobFacts) -> bool {
    job.run_at.is_none() && job.failures == 0
}

/// Effects of a resource, among jobs of one priority, in the order of arrival.
fn order(facts: &Facts, note: &mut impl FnMut(Broken, String)) {
    for ((_, resource), line) in by_resource(facts) {
        let mut newest: BTreeMap<i32, &JobFacts> = BTreeMap::new();
        for (job, _) in line.into_iter().filter(|(job, _)| keeps_its_place(job)) {
            if let Some(before) = newest.get(&job.priority)
                && before.seq > job.seq
            {
                note(Broken::Order, format!("{resource}: {before:?} overtook {job:?}"));
            } else {
                newest.insert(job.priority, job);
            }
        }
    }
}

/// A run of a resource begins after the effect of the one before.
fn overlaps(facts: &Facts, note: &mut impl FnMut(Broken, String)) {
    for ((_, resource), line) in by_resource(facts) {
        for pair in line.windows(2) {
            let (before, after) = (pair[0].0, pair[1].0);
            if after.effects[0].started_at < before.effects[0].at {
                note(Broken::Order, format!("{resource}: {after:?} ran beside {before:?}"));
            }
        }
    }
}

/// The newest wish for a document is fulfilled, unless a dead letter says why not.
fn coalescing(facts: &Facts, note: &mut impl FnMut(Broken, String)) {
    let excused: BTreeSet<(&str, &str)> = facts
        .jobs
        .iter()
        .filter(|job| job.state.as_deref() == Some("dead"))
        .filter_map(|job| Some((job.company_id.as_str(), job.document.as_deref()?)))
        .collect();
    for document in &facts.documents {
        let key = (document["company_id"].as_str().unwrap_or(""), document["key"].as_str().unwrap_or(""));
        if !excused.contains(&key) {
            note(Broken::Coalescing, document.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jobs_campaign::facts::Effect;

    /// A job that ended well, over which `changes` are laid.
    fn job(id: &str, n: i64, changes: Value) -> JobFacts {
        let mut row = json!({
            "job_id": id, "company_id": "c", "parent": null, "expect": "effect", "resource": "r", "priority": 5,
            "run_at": null, "document": null, "spawns": 0, "steps": 0, "cancel": false, "state": "succeeded",
            "seq": n, "folded_into": null, "fingerprint": null, "attempt": 1, "max_attempts": 5, "failures": 0,
            "interrupted": 0, "last_error": null, "done_steps": [],
            "effects": [{"n": n, "epoch": 1, "started_at": n * 10, "at": n * 10 + 5}],
        });
        if let (Value::Object(row), Value::Object(changes)) = (&mut row, changes) {
            row.extend(changes);
        }
        serde_json::from_value(row).expect("facts of a job")
    }

    fn found(jobs: Vec<JobFacts>) -> Vec<Broken> {
        violations(&Facts { jobs, ..Facts::default() }).into_iter().map(|violation| violation.kind).collect()
    }

    fn alone(changes: Value) -> Vec<Broken> {
        found(vec![job("a", 1, changes)])
    }

    #[test]
    fn every_good_ending_passes() {
        let none = json!([]);
        for changes in [
            json!({}),
            json!({"effects": none, "state": "dead", "expect": "dead", "attempt": 5}),
            json!({"effects": none, "state": "dead", "expect": "crash_loop", "fingerprint": "crash_loop"}),
            json!({"effects": none, "state": "dead", "expect": "effect_or_deadline", "fingerprint": "deadline"}),
            json!({"effects": none, "state": "parked", "expect": "parked"}),
            json!({"effects": none, "state": "scheduled", "expect": "waits"}),
            json!({"effects": none, "state": "cancelled", "cancel": true}),
            json!({"effects": none, "state": "cancelled", "folded_into": "b"}),
            json!({"steps": 2, "done_steps": [{"epoch": 1, "step": 0}, {"epoch": 3, "step": 1}]}),
        ] {
            assert_eq!(alone(changes.clone()), [], "{changes}");
        }
    }

    #[test]
    fn every_bad_ending_is_found() {
        let none = json!([]);
        let effect = json!({"n": 1, "epoch": 1, "started_at": 1, "at": 2});
        for (changes, kind) in [
            (json!({"effects": none, "state": null}), Broken::Lost),
            (json!({"effects": none}), Broken::Lost),
            (json!({"effects": none, "state": "queued"}), Broken::Lost),
            (json!({"effects": [effect, effect]}), Broken::Doubled),
            (json!({"state": "dead"}), Broken::Doubled),
            (json!({"expect": "dead"}), Broken::Ending),
            (json!({"effects": none, "state": "dead"}), Broken::Ending),
            (json!({"effects": none, "state": "dead", "expect": "crash_loop"}), Broken::Ending),
            (json!({"effects": none, "state": "dead", "expect": "dead", "attempt": 2}), Broken::Ending),
            (json!({"effects": none, "state": "cancelled"}), Broken::Ending),
            (json!({"effects": none, "state": "parked"}), Broken::Ending),
            (json!({"spawns": 2}), Broken::Ending),
            (json!({"run_at": 11}), Broken::Early),
            (json!({"steps": 1}), Broken::Step),
            (
                json!({"steps": 1, "done_steps": [{"epoch": 1, "step": 0}, {"epoch": 2, "step": 0}]}),
                Broken::Step,
            ),
            (
                json!({"steps": 2, "done_steps": [{"epoch": 2, "step": 0}, {"epoch": 1, "step": 1}]}),
                Broken::Step,
            ),
        ] {
            assert_eq!(alone(changes.clone()), [kind], "{changes}");
        }
    }

    #[test]
    fn jobs_of_a_resource_keep_their_order_unless_something_delayed_them() {
        let pair = |changes: Value| vec![job("late", 1, json!({"seq": 9})), job("early", 2, changes)];
        assert_eq!(found(pair(json!({}))), [Broken::Order]);
        for reason in [
            json!({"priority": 0}),
            json!({"failures": 1}),
            json!({"run_at": 1}),
            json!({"resource": "other"}),
            json!({"company_id": "other"}),
        ] {
            assert_eq!(found(pair(reason.clone())), [], "{reason}");
        }
        let mut beside = job("beside", 3, json!({}));
        beside.effects = vec![Effect { n: 3, epoch: 1, started_at: 14, at: 40 }];
        assert_eq!(found(vec![job("first", 1, json!({})), beside]), [Broken::Order]);
    }

    #[test]
    fn ghosts_strays_and_unserved_wishes_are_found() {
        let wish = json!({"company_id": "c", "key": "d", "wanted": 3, "applied": 2});
        let facts = Facts {
            strays: vec![json!({"job_id": "x"})],
            ghosts: vec![json!({"job_id": "y"})],
            documents: vec![wish.clone()],
            ..Facts::default()
        };
        let kinds: Vec<Broken> = violations(&facts).into_iter().map(|violation| violation.kind).collect();
        assert_eq!(kinds, [Broken::Coalescing, Broken::Ghost, Broken::Ghost]);
        let dead = json!({"effects": [], "state": "dead", "expect": "dead", "attempt": 5, "document": "d"});
        let excused = Facts { jobs: vec![job("a", 1, dead)], documents: vec![wish], ..Facts::default() };
        assert_eq!(violations(&excused).len(), 0);
        let orphan = json!({"parent": "p", "resource": null});
        let parent = json!({"effects": [], "state": "cancelled", "cancel": true});
        assert_eq!(found(vec![job("p", 1, parent), job("a", 2, orphan)]), [Broken::Ghost]);
    }
}
