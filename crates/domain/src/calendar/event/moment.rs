//! A wall clock time in a zone: the instant follows from both, and never the other way round.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Where a wall clock hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// A zone of the tz database.
    Named(Tz),
    /// Only an offset is known, in seconds east of UTC.
    Offset(i32),
}

/// A text that names neither a zone of the tz database nor an offset.
#[derive(Debug, thiserror::Error)]
#[error("unknown time zone {0:?}; give a name of the tz database, such as Europe/Paris")]
pub struct UnknownZone(pub String);

impl Zone {
    fn key(self) -> (String, i32) {
        match self {
            Self::Named(zone) => (zone.name().to_owned(), 0),
            Self::Offset(seconds) => (String::new(), seconds),
        }
    }

    /// The wall clock at `instant`.
    pub fn wall(self, instant: DateTime<Utc>) -> NaiveDateTime {
        match self {
            Self::Named(zone) => instant.with_timezone(&zone).naive_local(),
            Self::Offset(seconds) => instant.naive_utc() + TimeDelta::seconds(seconds.into()),
        }
    }

    /// The instant of a wall clock time. One that a change of the clocks skips is read with the offset
    /// before the change; of two the earlier is taken unless `later`.
    pub fn instant(self, wall: NaiveDateTime, later: bool) -> DateTime<Utc> {
        match self {
            Self::Offset(seconds) => (wall - TimeDelta::seconds(seconds.into())).and_utc(),
            Self::Named(zone) => match zone.from_local_datetime(&wall) {
                MappedLocalTime::Single(time) => time.to_utc(),
                MappedLocalTime::Ambiguous(first, second) => if later { second } else { first }.to_utc(),
                MappedLocalTime::None => {
                    // No change of the clocks skips more than a day, and no offset exceeds 14 hours.
                    let before = zone.offset_from_utc_datetime(&(wall - TimeDelta::hours(39))).fix();
                    (wall - before).and_utc()
                }
            },
        }
    }
}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => f.write_str(zone.name()),
            Self::Offset(seconds) => match FixedOffset::east_opt(*seconds) {
                Some(offset) => write!(f, "{offset}"),
                None => write!(f, "{seconds} s"),
            },
        }
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        if let Ok(zone) = text.parse::<Tz>() {
            return Ok(Self::Named(zone));
        }
        text.parse::<FixedOffset>()
            .map(|offset| Self::Offset(offset.local_minus_utc()))
            .map_err(|_| UnknownZone(text.to_owned()))
    }
}

impl Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A wall clock time in its zone, always one that exists there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    wall: NaiveDateTime,
    zone: Zone,
    /// The second of two equal wall clock times, when clocks are set back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    later: bool,
}

impl Moment {
    /// The wall clock time in `zone`; one that a change of the clocks skips moves behind the change.
    pub fn new(wall: NaiveDateTime, zone: Zone) -> Self {
        Self::at(zone.instant(wall, false), zone)
    }

    /// The moment at which it is `instant`.
    pub fn at(instant: DateTime<Utc>, zone: Zone) -> Self {
        let wall = zone.wall(instant);
        Self { wall, zone, later: zone.instant(wall, false) != instant }
    }

    /// The wall clock time.
    pub fn wall(&self) -> NaiveDateTime {
        self.wall
    }

    /// The zone.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// The instant.
    pub fn instant(&self) -> DateTime<Utc> {
        self.zone.instant(self.wall, self.later)
    }

    /// The offset from UTC at this moment, in seconds east.
    pub fn offset(&self) -> i64 {
        (self.wall.and_utc() - self.instant()).num_seconds()
    }

    /// The same instant, and the same zone where both name one.
    pub fn equivalent(&self, other: &Self) -> bool {
        match (self.zone, other.zone) {
            (Zone::Named(_), Zone::Named(_)) | (Zone::Offset(_), Zone::Offset(_)) => self == other,
            _ => self.instant() == other.instant(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use proptest::prelude::*;

    use super::*;

    fn wall(month: u32, day: u32, hour: u32, minute: u32) -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2026, month, day).expect("day").and_hms_opt(hour, minute, 0).expect("time")
    }

    #[test]
    fn clocks_that_change() {
        let paris: Zone = "Europe/Paris".parse().expect("zone");
        let skipped = Moment::new(wall(3, 29, 2, 30), paris);
        assert_eq!((skipped.wall(), skipped.offset()), (wall(3, 29, 3, 30), 7_200));
        let first = Moment::new(wall(10, 25, 2, 30), paris);
        let second = Moment::at(first.instant() + TimeDelta::hours(1), paris);
        assert_eq!(first.wall(), second.wall());
        assert_ne!(first, second);
        let howe: Zone = "Australia/Lord_Howe".parse().expect("zone");
        assert_eq!(
            Moment::new(wall(10, 4, 2, 15), howe).wall(),
            wall(10, 4, 2, 45),
            "30 minutes are skipped"
        );
        let apia = NaiveDate::from_ymd_opt(2011, 12, 30).expect("day").and_hms_opt(9, 0, 0).expect("time");
        let moved = Moment::new(apia, "Pacific/Apia".parse().expect("zone"));
        assert_eq!(moved.wall().date().to_string(), "2011-12-31", "a whole day is skipped");
    }

    #[test]
    fn zones_have_names() {
        for text in ["Europe/Paris", "UTC", "+02:00", "-09:30"] {
            assert_eq!(text.parse::<Zone>().expect("zone").to_string(), text);
        }
        assert!("Mars/Olympus".parse::<Zone>().expect_err("no zone").to_string().contains("Mars/Olympus"));
    }

    proptest! {
        #[test]
        fn an_instant_comes_back(seconds in 0i64..4_000_000_000, zone in 0usize..chrono_tz::TZ_VARIANTS.len()) {
            let instant = DateTime::from_timestamp(seconds, 0).expect("instant");
            let moment = Moment::at(instant, Zone::Named(chrono_tz::TZ_VARIANTS[zone]));
            prop_assert_eq!(moment.instant(), instant);
            let json = serde_json::to_string(&moment).expect("json");
            prop_assert_eq!(serde_json::from_str::<Moment>(&json).expect("moment"), moment);
            let rewritten = Moment::new(moment.wall(), moment.zone());
            prop_assert_eq!(rewritten.wall(), moment.wall());
        }
    }
}
