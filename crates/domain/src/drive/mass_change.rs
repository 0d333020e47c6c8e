//! The mass-change breaker: a run that would delete unusually much waits for a person.

use serde::{Deserialize, Serialize};

/// How much one run may delete without asking.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MassChange {
    /// The share of what exists, 0 to 1.
    pub max_share: f64,
    /// Fewer deletions than this are never too many, whatever their share.
    pub min_count: u64,
}

impl Default for MassChange {
    /// 30 %, from 50 deletions on: clearing out a single AO of ordinary size passes, a reorganised
    /// or emptied drive does not.
    fn default() -> Self {
        Self { max_share: 0.30, min_count: 50 }
    }
}

/// The answer of [`MassChange::verdict`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MassChangeVerdict {
    /// Carry on.
    Proceed,
    /// Keep the run until someone approves it.
    Park {
        /// Why, with the figures, for the person who decides.
        reason: String,
    },
}

impl MassChange {
    /// Judges a run that would delete `would_delete` of `existing` documents. An approved (or
    /// forced) run passes.
    pub fn verdict(&self, existing: u64, would_delete: u64, approved: bool) -> MassChangeVerdict {
        // A count beyond 2^52 is not a number of documents; the loss of precision is of no matter.
        #[expect(clippy::cast_precision_loss, reason = "counts of documents stay far below 2^52")]
        let over_share = would_delete as f64 > existing as f64 * self.max_share;
        if approved || would_delete < self.min_count || !over_share {
            return MassChangeVerdict::Proceed;
        }
        let limit = self.max_share * 100.0;
        MassChangeVerdict::Park {
            reason: format!(
                "the run would delete {would_delete} of {existing} documents, more than {limit:.0} % and at least {}",
                self.min_count
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parks(existing: u64, would_delete: u64) -> bool {
        MassChange::default().verdict(existing, would_delete, false) != MassChangeVerdict::Proceed
    }

    #[test]
    fn the_limits() {
        assert!(!parks(49, 49), "a small drive may be emptied");
        assert!(parks(50, 50));
        assert!(!parks(1_000, 300));
        assert!(parks(1_000, 301));
        assert_eq!(
            MassChange::default().verdict(200, 100, false),
            MassChangeVerdict::Park {
                reason: "the run would delete 100 of 200 documents, more than 30 % and at least 50"
                    .to_owned()
            }
        );
    }

    proptest! {
        #[test]
        fn approval_passes_and_more_is_never_safer(existing in 0u64..10_000, delete in 0u64..10_000) {
            prop_assert_eq!(MassChange::default().verdict(existing, delete, true), MassChangeVerdict::Proceed);
            prop_assert!(!parks(existing, delete) || parks(existing, delete + 1));
            prop_assert!(parks(existing, delete) || !parks(existing + 1, delete));
        }
    }
}
