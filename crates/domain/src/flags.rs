//! Operators' switches: what each one stops, and for whom.
//!
//! A switch belongs to an organization and has a normal position. Only those that are away from it are kept, so that
//! an empty [`Standing`] is the ordinary case and costs nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::ids::CompanyId;

/// Longest time after which a switch goes back by itself.
pub const LONGEST: TimeDelta = TimeDelta::days(366);

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// Exports and restores that read very much; off in degraded mode.
    HeavyExports,
    /// Whether notifications cause runs; without them the sweeps find what changed.
    RealtimeSync,
    /// Whether anything is written to a provider for people: events, mail, cards.
    OutwardWrites,
    /// Whether old records are removed.
    Purge,
    /// The circuit breaker before Microsoft, forced open.
    BreakerMicrosoft,
    /// The circuit breaker before Google, forced open.
    BreakerGoogle,
    /// Runs over drives.
    ConnectorOneDrive,
    /// Runs over mailboxes.
    ConnectorOutlook,
    /// Runs over channels and chats.
    ConnectorTeams,
    /// Runs over calendars, those of Outlook included.
    ConnectorGoogle,
}

use Flag::{
    BreakerGoogle, BreakerMicrosoft, ConnectorGoogle, ConnectorOneDrive, ConnectorOutlook, ConnectorTeams,
    HeavyExports, OutwardWrites, Purge, RealtimeSync,
};

/// Kinds of jobs that call a provider or remove records, and the switches that hold them.
const HOLDS: [(&str, &[Flag]); 13] = [
    ("documents.sync_drive", &[BreakerMicrosoft, ConnectorOneDrive]),
    ("documents.sync_ao", &[BreakerMicrosoft, ConnectorOneDrive]),
    ("maintenance.ensure_drive_subscription", &[BreakerMicrosoft, ConnectorOneDrive]),
    ("messages.sync_mailbox", &[BreakerMicrosoft, ConnectorOutlook]),
    ("messages.sync_channel", &[BreakerMicrosoft, ConnectorTeams]),
    ("messages.sync_chat", &[BreakerMicrosoft, ConnectorTeams]),
    ("messages.send", &[OutwardWrites, BreakerMicrosoft]),
    ("maintenance.ensure_subscription", &[BreakerMicrosoft]),
    // Calendars of both providers share these kinds: either breaker holds them all, so that nothing calls through.
    ("calendar.pull", &[BreakerGoogle, BreakerMicrosoft, ConnectorGoogle]),
    ("calendar.push", &[OutwardWrites, BreakerGoogle, BreakerMicrosoft, ConnectorGoogle]),
    ("calendar.watch", &[BreakerGoogle, ConnectorGoogle]),
    ("maintenance.purge_finished", &[Purge]),
    ("audit.restore", &[HeavyExports]),
];

impl Flag {
    /// All switches, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        HeavyExports,
        RealtimeSync,
        OutwardWrites,
        Purge,
        BreakerMicrosoft,
        BreakerGoogle,
        ConnectorOneDrive,
        ConnectorOutlook,
        ConnectorTeams,
        ConnectorGoogle,
    ];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            HeavyExports => "heavy_exports",
            RealtimeSync => "realtime_sync",
            OutwardWrites => "outward_writes",
            Purge => "purge",
            BreakerMicrosoft => "breaker.microsoft",
            BreakerGoogle => "breaker.google",
            ConnectorOneDrive => "connector.onedrive",
            ConnectorOutlook => "connector.outlook",
            ConnectorTeams => "connector.teams",
            ConnectorGoogle => "connector.google",
        }
    }

    /// Its position in ordinary operation: a breaker is not forced open, everything else is on.
    pub const fn normal(self) -> bool {
        !matches!(self, BreakerMicrosoft | BreakerGoogle)
    }

    /// What happens while it is away from its normal position.
    pub const fn effect(self) -> &'static str {
        match self {
            HeavyExports => "large exports and restores of archives are refused or wait",
            RealtimeSync => "notifications cause no runs; sweeps find what changed",
            OutwardWrites => "changes of events, mail and cards wait and are not sent",
            Purge => "nothing is removed because of its age",
            BreakerMicrosoft => "nothing calls Microsoft; its jobs wait, and those of all calendars",
            BreakerGoogle => "nothing calls Google; its jobs wait, and those of all calendars",
            ConnectorOneDrive => "drives are not synchronised",
            ConnectorOutlook => "mailboxes are not synchronised",
            ConnectorTeams => "channels and chats are not synchronised",
            ConnectorGoogle => "calendars are not synchronised, Outlook's included",
        }
    }

    /// The switches that hold jobs of this kind while they are away from normal.
    pub fn holding(kind: &str) -> &'static [Flag] {
        HOLDS.iter().find(|(held, _)| *held == kind).map_or(&[], |(_, flags)| *flags)
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no switch.
#[derive(Debug, thiserror::Error)]
#[error("unknown switch {0:?}")]
pub struct UnknownFlag(pub String);

impl FromStr for Flag {
    type Err = UnknownFlag;

    fn from_str(text: &str) -> Result<Self, UnknownFlag> {
        Self::ALL.into_iter().find(|flag| flag.as_str() == text).ok_or_else(|| UnknownFlag(text.to_owned()))
    }
}

/// Why a switch is away from normal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// What the operator said.
    pub reason: String,
    /// Back by itself then.
    pub until: Option<DateTime<Utc>>,
}

/// Every switch that is away from normal, of all organizations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing(BTreeMap<(CompanyId, Flag), Away>);

impl Standing {
    /// From what is stored.
    pub fn new(away: impl IntoIterator<Item = (CompanyId, Flag, Away)>) -> Self {
        Self(away.into_iter().map(|(company, flag, away)| ((company, flag), away)).collect())
    }

    /// Why the switch is away; `None` when it is normal, or was to be back by `now`.
    pub fn away(&self, company: CompanyId, flag: Flag, now: DateTime<Utc>) -> Option<&Away> {
        self.0.get(&(company, flag)).filter(|away| away.until.is_none_or(|until| now < until))
    }

    /// The first switch that holds jobs of this kind.
    pub fn held(&self, company: CompanyId, kind: &str, now: DateTime<Utc>) -> Option<(Flag, &Away)> {
        let mut flags = Flag::holding(kind).iter();
        flags.find_map(|flag| Some((*flag, self.away(company, *flag, now)?)))
    }

    /// In how many organizations each switch is away; every switch is named.
    pub fn counts(&self, now: DateTime<Utc>) -> BTreeMap<Flag, usize> {
        let mut counts: BTreeMap<Flag, usize> = Flag::ALL.into_iter().map(|flag| (flag, 0)).collect();
        for (company, flag) in self.0.keys() {
            if self.away(*company, *flag, now).is_some() {
                *counts.entry(*flag).or_default() += 1;
            }
        }
        counts
    }
}

/// Why a change of a switch cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The end has passed already.
    #[error("is not in the future")]
    Past,
    /// The end is too far away.
    #[error("is more than {} days away", LONGEST.num_days())]
    TooFar,
    /// The normal position has no end.
    #[error("ends nothing: this is the switch's normal position")]
    Normal,
}

/// Checks when a switch in this position is to go back.
///
/// # Errors
/// [`Fault`] says what is wrong with `until`.
pub fn check(
    flag: Flag,
    enabled: bool,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    match until {
        Some(_) if enabled == flag.normal() => Err(Fault::Normal),
        Some(until) if until <= now => Err(Fault::Past),
        Some(until) if until - now > LONGEST => Err(Fault::TooFar),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const US: CompanyId = CompanyId(Uuid::from_u128(1));
    const THEM: CompanyId = CompanyId(Uuid::from_u128(2));

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a moment")
    }

    fn away(until: Option<i64>) -> Away {
        Away { reason: "a test".to_owned(), until: until.map(at) }
    }

    #[test]
    fn names_round_trip_and_are_distinct() {
        for flag in Flag::ALL {
            assert_eq!(flag.to_string().parse::<Flag>().expect("known"), flag);
        }
        assert!("connector.fax".parse::<Flag>().is_err());
        for (kind, flags) in HOLDS {
            assert!(!flags.is_empty() && Flag::holding(kind) == flags, "{kind}");
        }
        assert!(Flag::holding("maintenance.sweep_drives").is_empty());
    }

    #[test]
    fn a_switch_holds_its_kinds_of_its_company_until_its_end() {
        let standing =
            Standing::new([(US, OutwardWrites, away(Some(100))), (THEM, BreakerGoogle, away(None))]);
        let held = |company, kind, now| standing.held(company, kind, at(now)).map(|(flag, _)| flag);
        assert_eq!(held(US, "calendar.push", 99), Some(OutwardWrites));
        assert_eq!(held(US, "calendar.push", 100), None, "the end is not part of it");
        assert_eq!(held(US, "calendar.pull", 99), None, "reading goes on");
        assert_eq!(held(THEM, "calendar.pull", 500), Some(BreakerGoogle));
        assert_eq!(held(THEM, "messages.send", 500), None);
        let counts = standing.counts(at(99));
        assert_eq!((counts[&OutwardWrites], counts[&BreakerGoogle], counts[&Purge]), (1, 1, 0));
        assert_eq!(standing.counts(at(100))[&OutwardWrites], 0);
    }

    #[test]
    fn an_end_is_ahead_and_not_too_far_and_of_something() {
        assert_eq!(check(Purge, false, Some(at(11)), at(10)), Ok(()));
        assert_eq!(check(Purge, false, None, at(10)), Ok(()));
        assert_eq!(check(Purge, false, Some(at(10)), at(10)), Err(Fault::Past));
        assert_eq!(check(Purge, true, Some(at(11)), at(10)), Err(Fault::Normal));
        assert_eq!(check(BreakerGoogle, false, Some(at(11)), at(10)), Err(Fault::Normal));
        let far = at(10) + LONGEST + TimeDelta::seconds(1);
        assert_eq!(check(BreakerGoogle, true, Some(far), at(10)), Err(Fault::TooFar));
    }
}
