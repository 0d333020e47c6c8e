//! Identifiers that are known before the call that uses them.

use chrono::{NaiveDate, NaiveDateTime};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::event::Original;

/// The key of our private extended property that holds the application's event id.
pub const STAMP_EVENT: &str = "synclineEvent";
/// The key of our private extended property that holds the incarnation.
pub const STAMP_INCARNATION: &str = "synclineIncarnation";

/// The digits of base32hex in lower case: exactly what the provider allows in an id.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// The provider's id for an application's event, 52 characters of a-v and 0-9.
///
/// Deleting an event does not release its id, so that a new life of the same event needs a new
/// `incarnation`. The same arguments always give the same id.
pub fn event_id(tenant: &str, calendar: &str, event: &str, incarnation: u32) -> String {
    let mut hash = Sha256::new();
    for part in [tenant, calendar, event] {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(incarnation.to_be_bytes());
    base32hex(&hash.finalize())
}

fn base32hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(DIGITS[(buffer >> bits & 31) as usize]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(DIGITS[(buffer << (5 - bits) & 31) as usize]));
    }
    text
}

/// Whether the provider accepts `id` for an insert: 5 to 1,024 characters of a-v and 0-9.
pub fn valid(id: &str) -> bool {
    (5..=1_024).contains(&id.len()) && id.bytes().all(|byte| DIGITS.contains(&byte))
}

/// What we write into the private extended properties of an event that we make. A copy of ours in the
/// calendar is never a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The application's event id.
    pub event: String,
    /// The life of the event, from 0.
    pub incarnation: u32,
}

impl Stamp {
    /// The stamp of a provider's event, if it has one.
    pub fn read(raw: &Value) -> Option<Self> {
        let own = &raw["extendedProperties"]["private"];
        Some(Self {
            event: own[STAMP_EVENT].as_str()?.to_owned(),
            incarnation: own[STAMP_INCARNATION].as_str().and_then(|text| text.parse().ok()).unwrap_or(0),
        })
    }

    /// The private extended properties; their values are texts.
    pub fn properties(&self) -> Value {
        json!({ STAMP_EVENT: self.event, STAMP_INCARNATION: self.incarnation.to_string() })
    }
}

/// The provider's id of one occurrence: `{master}_{yyyymmdd}` or `{master}_{yyyymmddThhmmssZ}`.
pub fn instance_id(master: &str, original: Original) -> String {
    match original {
        Original::On(day) => format!("{master}_{}", day.format("%Y%m%d")),
        Original::At(instant) => format!("{master}_{}", instant.format("%Y%m%dT%H%M%SZ")),
    }
}

/// The master and the original start of an occurrence's id; `None` for any other id.
pub fn split_instance(id: &str) -> Option<(&str, Original)> {
    let (master, suffix) = id.rsplit_once('_')?;
    if let Ok(day) = NaiveDate::parse_from_str(suffix, "%Y%m%d") {
        return Some((master, Original::On(day)));
    }
    let instant = NaiveDateTime::parse_from_str(suffix, "%Y%m%dT%H%M%SZ").ok()?;
    Some((master, Original::At(instant.and_utc())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base32hex_of_the_rfc() {
        let vectors = [("", ""), ("f", "co"), ("fo", "cpng"), ("foo", "cpnmu"), ("foobar", "cpnmuoj1e8")];
        for (bytes, text) in vectors {
            assert_eq!(base32hex(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(event_id("ab", "c", "e", 0), event_id("a", "bc", "e", 0));
        assert_ne!(event_id("t", "c", "e", 0), event_id("t", "c", "e", 1));
        assert_eq!(event_id("t", "c", "e", 0), event_id("t", "c", "e", 0));
        assert!(!valid("abcw1") && !valid("abc") && !valid("ABCDE"));
    }

    proptest! {
        #[test]
        fn ids_are_accepted(tenant: String, calendar: String, event: String, incarnation: u32) {
            let id = event_id(&tenant, &calendar, &event, incarnation);
            prop_assert!(valid(&id) && id.len() == 52);
            let day = Original::On(NaiveDate::from_ymd_opt(2026, 3, 1).expect("day"));
            let at = Original::At("2026-03-01T08:00:00Z".parse().expect("instant"));
            for original in [day, at] {
                let instance = instance_id(&id, original);
                prop_assert_eq!(split_instance(&instance), Some((id.as_str(), original)));
            }
            prop_assert_eq!(split_instance(&id), None);
        }
    }
}
