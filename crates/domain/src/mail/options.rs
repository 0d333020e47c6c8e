//! What is read of a mailbox, as part of its cursors.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What is read of the messages of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailOptions {
    /// Bodies, or previews only.
    pub bodies: bool,
    /// Metadata of attachments.
    pub attachments: bool,
    /// Nothing that was received earlier; `None` = everything.
    pub since: Option<DateTime<Utc>>,
}

impl MailOptions {
    /// The mark of a cursor that was made with these options. Options are baked into Graph's tokens (message-delta,
    /// Graph v1.0), so a cursor with another mark is of no use: a wider choice would never reach back.
    pub fn fingerprint(&self) -> String {
        let since = self.since.map_or_else(|| "all".to_owned(), |at| at.timestamp().to_string());
        format!(
            "v1;bodies={};attachments={};since={since}",
            u8::from(self.bodies),
            u8::from(self.attachments)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_choice_has_a_mark_of_its_own(
            a in (any::<bool>(), any::<bool>(), proptest::option::of(0i64..4_000_000_000)),
            b in (any::<bool>(), any::<bool>(), proptest::option::of(0i64..4_000_000_000)),
        ) {
            let options = |(bodies, attachments, since): (bool, bool, Option<i64>)| MailOptions {
                bodies, attachments, since: since.and_then(|s| DateTime::from_timestamp(s, 0)),
            };
            prop_assert_eq!(options(a).fingerprint() == options(b).fingerprint(), a == b);
        }
    }
}
