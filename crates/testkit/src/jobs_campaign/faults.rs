//! What happens to a campaign, drawn from its seed before it begins.

use std::fmt;
use std::time::Duration;

use crate::e2e::dice::Dice;
use crate::proxy::Weather;

/// A server that members talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL.
    Database,
    /// RabbitMQ.
    Broker,
}

/// One thing that is done; a member is named by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// SIGKILL.
    Kill(usize),
    /// Starts it, unless it runs.
    Start(usize),
    /// SIGTERM, with a replacement at once.
    Rollout(usize),
    /// SIGTERM without a replacement.
    ScaleDown(usize),
    /// SIGSTOP.
    Stop(usize),
    /// SIGCONT.
    Continue(usize),
    /// Ends its connections.
    Cut(usize, Server),
    /// Changes the network.
    Network(usize, Server, Weather),
    /// Sets its wall clock this many seconds off.
    Clock(usize, i64),
    /// Drops every message of the working queues.
    Purge,
    /// Deletes every exchange and queue.
    Wipe,
}

impl Act {
    /// Under what it is counted; `None` for what only ends another.
    pub fn name(&self) -> Option<&'static str> {
        Some(match self {
            Act::Kill(_) => "kill -9",
            Act::Rollout(_) => "rollout",
            Act::ScaleDown(_) => "scale down",
            Act::Stop(_) => "SIGSTOP",
            Act::Cut(..) => "cut",
            Act::Network(_, _, Weather::Closed) => "server away",
            Act::Network(_, _, Weather::Stalled) => "black hole",
            Act::Network(_, _, Weather::Slow { .. }) => "slow network",
            Act::Network(_, _, Weather::ServerVanished) => "half open (client)",
            Act::Network(_, _, Weather::ClientVanished) => "half open (server)",
            Act::Clock(_, seconds) if *seconds != 0 => "clock jump",
            Act::Purge => "purge",
            Act::Wipe => "wipe",
            Act::Start(_) | Act::Continue(_) | Act::Clock(..) | Act::Network(_, _, Weather::Clear) => {
                return None;
            }
        })
    }
}

/// An act and its moment after the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// What.
    pub act: Act,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} ms {:?}", self.at.as_millis(), self.act)
    }
}

/// How many members there are, and what they may suffer.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Workers; the first numbers.
    pub workers: usize,
    /// Schedulers; the numbers after them.
    pub schedulers: usize,
    /// Faults.
    pub faults: u64,
    /// Time in which they begin.
    pub window: Duration,
    /// Lease of jobs.
    pub lease: Duration,
}

/// Draws the events of a campaign, in the order of their moments.
pub fn draw(dice: &mut Dice, extent: Extent) -> Vec<Event> {
    let mut events = Vec::new();
    let window = u64::try_from(extent.window.as_millis()).unwrap_or(u64::MAX);
    for _ in 0..extent.faults {
        let at = Duration::from_millis(dice.below(window));
        one(dice, extent, at, &mut events);
    }
    events.sort_by_key(|event| event.at);
    events
}

fn one(dice: &mut Dice, extent: Extent, at: Duration, events: &mut Vec<Event>) {
    let ms = |dice: &mut Dice, least: u64, more: u64| Duration::from_millis(least + dice.below(more));
    let worker = |dice: &mut Dice| usize::try_from(dice.below(extent.workers as u64)).unwrap_or(0);
    let member = |dice: &mut Dice| {
        // Workers do more, so more happens to them.
        if extent.schedulers > 0 && dice.below(3) == 0 {
            extent.workers + usize::try_from(dice.below(extent.schedulers as u64)).unwrap_or(0)
        } else {
            worker(dice)
        }
    };
    let mut then = |after: Duration, act: Act| events.push(Event { at: at + after, act });
    match dice.below(20) {
        0..=4 => {
            let who = member(dice);
            then(Duration::ZERO, Act::Kill(who));
            then(ms(dice, 30, 700), Act::Start(who));
        }
        5..=6 => then(Duration::ZERO, Act::Rollout(member(dice))),
        7 => {
            // Every worker, as at noon.
            for who in 0..extent.workers {
                then(Duration::from_millis(250) * u32::try_from(who).unwrap_or(0), Act::Rollout(who));
            }
        }
        8 => {
            let who = worker(dice);
            then(Duration::ZERO, Act::ScaleDown(who));
            then(ms(dice, 300, 1_500), Act::Start(who));
        }
        9..=11 => {
            // Beyond the lease: whatever it wakes up to write is a zombie's.
            let who = member(dice);
            then(Duration::ZERO, Act::Stop(who));
            then(extent.lease + ms(dice, 300, 1_500), Act::Continue(who));
        }
        12..=13 => then(Duration::ZERO, Act::Cut(member(dice), server(dice))),
        14..=16 => {
            let (who, which) = (member(dice), server(dice));
            let slow = Weather::Slow {
                latency: Duration::from_millis(5 + dice.below(80)),
                bytes_per_second: 20_000 + dice.below(200_000),
            };
            let weather = *dice.pick(&[
                Weather::Closed,
                Weather::Stalled,
                Weather::Stalled,
                slow,
                slow,
                Weather::ServerVanished,
                Weather::ClientVanished,
            ]);
            then(Duration::ZERO, Act::Network(who, which, weather));
            let lasts = u64::try_from(extent.lease.as_millis()).unwrap_or(2_000) * 3 / 2;
            then(ms(dice, 200, lasts), Act::Network(who, which, Weather::Clear));
        }
        17 => {
            let who = member(dice);
            let size = *dice.pick(&[90, 3_600, 86_400, 40 * 86_400]);
            then(Duration::ZERO, Act::Clock(who, if dice.once_in(2) { size } else { -size }));
            then(ms(dice, 500, 2_500), Act::Clock(who, 0));
        }
        18 => then(Duration::ZERO, Act::Purge),
        _ => then(Duration::ZERO, Act::Wipe),
    }
}

fn server(dice: &mut Dice) -> Server {
    *dice.pick(&[Server::Database, Server::Broker])
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent {
        workers: 3,
        schedulers: 2,
        faults: 400,
        window: Duration::from_secs(5),
        lease: Duration::from_secs(3),
    };

    #[test]
    fn a_seed_draws_the_same_events_again_and_every_kind_sometime() {
        let events = draw(&mut Dice::new(7), EXTENT);
        assert_eq!(events, draw(&mut Dice::new(7), EXTENT));
        assert_ne!(events, draw(&mut Dice::new(8), EXTENT));
        assert!(events.is_sorted_by_key(|event| event.at));
        let names: std::collections::BTreeSet<_> =
            events.iter().filter_map(|event| event.act.name()).collect();
        assert_eq!(names.len(), 13, "{names:?}");
    }

    #[test]
    fn whatever_is_broken_is_mended() {
        for seed in 0..50 {
            let events = draw(&mut Dice::new(seed), EXTENT);
            for event in &events {
                let of = |act: Act| events.iter().any(|e| e.act == act && e.at >= event.at);
                match event.act {
                    Act::Kill(who) | Act::ScaleDown(who) => assert!(of(Act::Start(who)), "{event}"),
                    Act::Stop(who) => assert!(of(Act::Continue(who)), "{event}"),
                    Act::Network(who, server, _) => {
                        assert!(of(Act::Network(who, server, Weather::Clear)), "{event}");
                    }
                    Act::Clock(who, _) => assert!(of(Act::Clock(who, 0)), "{event}"),
                    _ => {}
                }
            }
        }
    }
}
