//! The calendar engine converges, and the simulation would notice if it did not.
//!
//! Seeds that each rule needed to be caught when it was broken on purpose (`broken_rules_are_caught` prints them):
//!
//! | broken rule | seeds | what was found |
//! |---|---|---|
//! | writes carry no `If-Match` | 32 | no rest: each side undoes the other |
//! | echoes are taken for edits | 1 | no rest: loops until the breaker |
//! | cursor before rows | 2 | an event on one side only |
//! | sweep without generations | 11 | living rows ended |
//! | no sweep | 707 | a row whose event is long gone |
//! | ids made by the provider | 21 | duplicates |
//! | losers forgotten | 3 | a lost edit |
//! | a zombie's write after lease loss (no fence) | 1,832 | a lost edit |
//! | parked rows forgotten after quota or revocation | 5 | no rest |

use std::time::Instant;

use simulation::convergence::{Break, Campaign, Plan, campaign, shrink};

/// Seeds of a campaign: `CONVERGENCE_SEEDS`, or 2,000; the first is `CONVERGENCE_SEED`, or 1.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn passed(name: &str, started: Instant, campaign: &Campaign) {
    let tally = campaign.tally;
    println!("{name}: {} runs in {:.1} s, {tally:?}", campaign.runs, started.elapsed().as_secs_f64());
    if let Some((plan, finding)) = &campaign.failure {
        let small = shrink(plan);
        let why = small.run().expect_err("a shrunk plan fails");
        let story = small.story().join("\n");
        panic!("{name}: seed {}: {finding}\n{story}\nshrunk to {small:?}\n{why}", plan.seed);
    }
}

#[test]
fn both_sides_agree_after_any_faults() {
    let started = Instant::now();
    let found = campaign(number("CONVERGENCE_SEED", 1), number("CONVERGENCE_SEEDS", 2_000), |plan| plan);
    passed("faults", started, &found);
    assert!(found.tally.conflicts > 0, "no collision was ever seen");
}

#[test]
fn without_faults_every_edit_is_one_write() {
    let started = Instant::now();
    let found =
        campaign(number("CONVERGENCE_SEED", 1), number("CONVERGENCE_SEEDS", 2_000) / 4, Plan::peaceful);
    passed("peace", started, &found);
    assert!(found.tally.app_edits > 1_000);
    assert_eq!(found.tally.writes, found.tally.app_edits, "writes per edit");
    assert_eq!(found.tally.conflicts, 0);
}

#[test]
fn broken_rules_are_caught() {
    for rule in Break::ALL {
        let found = campaign(1, 4_000, |plan| plan.broken(rule));
        let (plan, finding) =
            found.failure.unwrap_or_else(|| panic!("{rule:?} was not caught in {} runs", found.runs));
        println!("{rule:?}: caught by seed {} after {} runs: {finding:.120}", plan.seed, found.runs);
    }
}
