//! What deliveries cause, in one transaction for many of them.

mod google;
mod graph;
mod jobs;

use std::collections::HashSet;

use domain::flags::Flag;
use domain::ids::CompanyId;
use store::Tx;

use crate::arrival::{Arrival, Source};
use crate::memory::Key;

/// How the notifications of one delivery were judged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Rightly proven; a job was queued.
    pub accepted: usize,
    /// Rightly proven; a job that waits already serves it.
    pub coalesced: usize,
    /// The first message of a channel: it works.
    pub sync: usize,
    /// Rightly proven, but realtime sync is switched off, or the channel was ended.
    pub ignored: usize,
    /// Unknown subscription or channel.
    pub unknown: usize,
    /// Wrongly proven.
    pub refused: usize,
}

impl Tally {
    /// Each result with its label in `webhook_notifications_total`.
    pub fn results(&self) -> [(&'static str, usize); 6] {
        [
            ("accepted", self.accepted),
            ("coalesced", self.coalesced),
            ("sync", self.sync),
            ("ignored", self.ignored),
            ("unknown", self.unknown),
            ("refused", self.refused),
        ]
    }

    /// Whether one of them was rightly proven.
    pub fn has_friends(&self) -> bool {
        self.accepted + self.coalesced + self.sync + self.ignored > 0
    }

    /// Notifications of strangers.
    pub fn strange(&self) -> usize {
        self.unknown + self.refused
    }
}

/// What holds for every delivery.
pub struct Rules<'a> {
    /// Whether notifications cause runs (`ENABLE_REALTIME_SYNC`).
    pub realtime: bool,
    /// Operators' switches, which may say otherwise for a company.
    pub sight: store::flags::Sight,
    /// Whether the strangers of one delivery leave receipts.
    pub keep_strangers: &'a (dyn Fn(Source) -> bool + Send + Sync),
}

impl Rules<'_> {
    /// Whether notifications cause runs for this company.
    pub fn wake(&self, company: CompanyId) -> bool {
        let sight = &self.sight;
        self.realtime && sight.standing.away(company, Flag::RealtimeSync, sight.now).is_none()
    }
}

/// What a transaction found out.
#[derive(Debug, Default)]
pub struct Effects {
    /// One for each arrival.
    pub tallies: Vec<Tally>,
    /// Senders whose proof was right.
    pub friends: HashSet<Key>,
    /// Senders who are nobody.
    pub strangers: HashSet<Key>,
}

/// Judges arrivals and writes what they cause; the caller commits.
///
/// # Errors
/// As every statement.
pub async fn write(tx: &mut Tx, arrivals: &[Arrival], rules: &Rules<'_>) -> store::Result<Effects> {
    let mut effects = Effects { tallies: vec![Tally::default(); arrivals.len()], ..Effects::default() };
    graph::write(tx, arrivals, rules, &mut effects).await?;
    google::write(tx, arrivals, rules, &mut effects).await?;
    Ok(effects)
}
