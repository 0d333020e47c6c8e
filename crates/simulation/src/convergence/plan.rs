//! Plans of runs, campaigns over many of them, and the smallest plan that still fails.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::calendar::merge::Policy;

use super::check::{Fault as Finding, check};
use super::dice::Dice;
use super::faults::{Break, Fault};
use super::provider::Provider;
use super::world::{Ledger, Store, World};

/// One run, completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For the dice of the world.
    pub seed: u64,
    /// What people do, one seed each.
    pub actions: Vec<u64>,
    /// What may go wrong.
    pub faults: Vec<Fault>,
    /// A rule that is broken.
    pub broken: Option<Break>,
    /// Work off every edit before the next one.
    pub one_by_one: bool,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Edits of the application that need a write of their own.
    pub app_edits: u64,
    /// Edits at the provider.
    pub provider_edits: u64,
    /// Provider writes that took effect and were the engine's.
    pub writes: u64,
    /// What was written down as lost in a collision.
    pub conflicts: u64,
}

impl Plan {
    /// The plan of a seed: 8 to 30 actions, about half of the faults.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let actions = (0..8 + dice.below(23)).map(|_| dice.next()).collect();
        let faults = Fault::ALL.into_iter().filter(|_| dice.chance(50)).collect();
        Self { seed, actions, faults, broken: None, one_by_one: false }
    }

    /// The same actions without any fault, each worked off before the next.
    #[must_use]
    pub fn peaceful(mut self) -> Self {
        self.faults.clear();
        self.one_by_one = true;
        self
    }

    /// The same plan with a broken rule.
    #[must_use]
    pub fn broken(mut self, rule: Break) -> Self {
        self.broken = Some(rule);
        self
    }

    /// Runs it against a provider that is empty.
    ///
    /// # Errors
    /// The promise that was not kept.
    pub fn run(&self) -> Result<Tally, Finding> {
        self.play(&mut self.world())
    }

    /// What happens in the run, for people.
    pub fn story(&self) -> Vec<String> {
        let mut world = self.world();
        world.story = Some(Vec::new());
        let end = self.play(&mut world);
        let mut story = world.story.unwrap_or_default();
        story.push(match end {
            Ok(tally) => format!("{tally:?}"),
            Err(finding) => finding.to_string(),
        });
        story
    }

    fn play(&self, world: &mut World) -> Result<Tally, Finding> {
        while !world.actions.is_empty() {
            if self.one_by_one {
                world.next_action();
                world.calm = true;
                settle(world, 12)?;
                world.calm = false;
                continue;
            }
            for _ in 0..world.dice.below(4) {
                world.next_action();
            }
            let pause = 1 + world.dice.below(20_000);
            world.pass(i64::try_from(pause).unwrap_or_default());
            if world.dirty || world.dice.chance(60) {
                // Crashed and fenced workers are replaced by the next round.
                let ended = world.round();
                world.tell(|_| format!("round ended: {ended:?}"));
            }
        }
        world.calm = true;
        world.provider.refuse_undelete(false);
        // The hours of the quota pass, and the user has consented again.
        world.provider.read_only(world.now);
        world.now = world.now.max(world.resting_until);
        world.provider.grant(true);
        settle(world, 40)?;
        check(world)?;
        let writes = world.provider.effective_writes() - world.ledger.people_writes;
        let app_edits = world.ledger.app_edits - world.ledger.implied_edits;
        if self.one_by_one && writes != app_edits {
            return Err(Finding::Writes(format!("{writes} for {app_edits} edits without any fault")));
        }
        Ok(Tally {
            app_edits,
            provider_edits: world.ledger.provider_edits,
            writes,
            conflicts: world.store.conflicts.len() as u64,
        })
    }

    fn world(&self) -> World {
        let mut dice = Dice::new(self.seed ^ 0x5eed);
        let now = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_600);
        let mut provider = Provider::new(&mut dice, now);
        let mut skew = || {
            let off = if self.faults.contains(&Fault::Skew) { dice.below(1_200) } else { 600 };
            i64::try_from(off).unwrap_or_default() - 600
        };
        let (skew, worker_skew) = (skew(), skew());
        provider.refuse_undelete(self.faults.contains(&Fault::NoUndelete));
        if self.faults.contains(&Fault::Inconsistent) {
            provider.inconsistency(800);
        }
        let policies = [Policy::NewestWins, Policy::NewestWins, Policy::AppWins, Policy::ProviderWins];
        let policy = dice.pick(&policies).copied().unwrap_or_default();
        World {
            provider,
            store: Store::default(),
            ledger: Ledger::default(),
            now,
            skew,
            worker_skew,
            resting_until: now,
            connected: true,
            forgotten: BTreeSet::new(),
            faults: self.faults.clone(),
            broken: self.broken,
            policy,
            actions: self.actions.iter().rev().copied().collect(),
            fence: 0,
            dirty: true,
            notifications: Vec::new(),
            quiet_until: BTreeMap::new(),
            depth: 0,
            calm: false,
            story: None,
            dice,
        }
    }
}

/// Rounds without faults until nothing is left to do: the sweep that runs anyway finds what
/// notifications missed.
fn settle(world: &mut World, rounds: u32) -> Result<(), Finding> {
    // The first may only end a listing that was frozen before the last change.
    let mut quiet = 0;
    for _ in 0..rounds {
        world.pass(15 * 60_000);
        let (rows, conflicts) = (world.store.rows.clone(), world.store.conflicts.len());
        let writes = world.provider.effective_writes();
        let _ = world.round();
        let pending = world.store.rows.values().any(domain::calendar::engine::Row::dirty);
        let moved = world.provider.effective_writes() != writes
            || world.store.conflicts.len() != conflicts
            || world.store.rows != rows;
        quiet = if pending || moved || world.store.cursor.is_full() { 0 } else { quiet + 1 };
        if quiet == 2 {
            return Ok(());
        }
    }
    let pending: Vec<_> = world.store.rows.values().filter(|row| row.dirty()).collect();
    Err(Finding::NotAtRest(format!("{pending:?}")))
}

/// What a campaign found.
#[derive(Clone, Debug, Default)]
pub struct Campaign {
    /// Runs.
    pub runs: u64,
    /// Sums over all runs.
    pub tally: Tally,
    /// The first run that broke a promise.
    pub failure: Option<(Plan, Finding)>,
}

/// Runs the plans of `count` seeds from `first` on, each changed by `change`; stops at the first failure.
pub fn campaign(first: u64, count: u64, change: impl Fn(Plan) -> Plan) -> Campaign {
    let mut campaign = Campaign::default();
    for seed in first..first.saturating_add(count) {
        let plan = change(Plan::of(seed));
        campaign.runs += 1;
        match plan.run() {
            Ok(tally) => {
                campaign.tally.app_edits += tally.app_edits;
                campaign.tally.provider_edits += tally.provider_edits;
                campaign.tally.writes += tally.writes;
                campaign.tally.conflicts += tally.conflicts;
            }
            Err(finding) => {
                campaign.failure = Some((plan, finding));
                return campaign;
            }
        }
    }
    campaign
}

/// The smallest plan found that still fails in the same way, by leaving out actions and kinds of faults one at
/// a time.
pub fn shrink(plan: &Plan) -> Plan {
    let mut smallest = plan.clone();
    let way = |plan: &Plan| plan.run().err().map(|finding| std::mem::discriminant(&finding));
    let wanted = way(plan);
    loop {
        let actions = (0..smallest.actions.len()).map(|index| {
            let mut next = smallest.clone();
            next.actions.remove(index);
            next
        });
        let faults = (0..smallest.faults.len()).map(|index| {
            let mut next = smallest.clone();
            next.faults.remove(index);
            next
        });
        let Some(next) = actions.chain(faults).find(|next| way(next) == wanted) else { return smallest };
        smallest = next;
    }
}
