//! What a provider says about the budget that is left, before it throttles.

use std::time::Duration;

/// Who goes first at a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Backfills, sweeps, audits.
    #[default]
    Background,
    /// A person or a fresh notification waits.
    Interactive,
}

/// Share of a budget from which on calls are spaced (`RateLimit-*` headers come from 80 % on; Microsoft 365 developer
/// blog, "prevent throttling with RateLimit headers").
const CAREFUL: f64 = 0.8;
/// Longest space between two calls.
const MAX_SPACE: Duration = Duration::from_secs(5);
/// Longest silence that is kept without having been throttled.
const MAX_SILENCE: Duration = Duration::from_mins(1);

/// The headers of one answer (provider facts A8). Absent ones are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowance {
    /// `RateLimit-Limit`: units in the window.
    pub limit: Option<u64>,
    /// `RateLimit-Remaining`.
    pub remaining: Option<u64>,
    /// `RateLimit-Reset`: until the window begins anew.
    pub reset: Option<Duration>,
    /// `x-ms-throttle-limit-percentage`: share of the limit that is used, 0.8 to 1.8.
    pub used_share: Option<f64>,
}

/// How to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// As before.
    Free,
    /// Background calls this far apart, for as long.
    Space {
        /// Between two calls.
        every: Duration,
        /// How long this holds.
        during: Duration,
    },
    /// No calls for this long.
    Silence(Duration),
}

impl Allowance {
    /// What the headers mean: what is left is spread over the rest of the window, and nothing left is silence until its
    /// end. The stricter of the two kinds of header counts.
    pub fn advice(&self) -> Advice {
        stricter(self.by_remaining(), self.by_share())
    }

    fn by_remaining(&self) -> Advice {
        let (Some(remaining), Some(reset)) = (self.remaining, self.reset) else { return Advice::Free };
        let reset = reset.min(MAX_SILENCE);
        if reset.is_zero() {
            return Advice::Free;
        }
        let Ok(left) = u32::try_from(remaining) else { return Advice::Free };
        if left == 0 {
            return Advice::Silence(reset);
        }
        #[expect(clippy::cast_precision_loss, reason = "a share, not an account")]
        let plenty = self.limit.is_some_and(|limit| remaining as f64 > (1.0 - CAREFUL) * limit as f64);
        if plenty {
            return Advice::Free;
        }
        Advice::Space { every: (reset / left).min(MAX_SPACE), during: reset }
    }

    fn by_share(&self) -> Advice {
        match self.used_share {
            Some(share) if share.is_finite() && share >= 1.0 => {
                // Over the limit, where calls are refused: a second at the limit, nine at 180 %.
                Advice::Silence(Duration::from_secs_f64((1.0 + (share - 1.0) * 10.0).min(10.0)))
            }
            Some(share) if share.is_finite() && share > CAREFUL => Advice::Space {
                every: Duration::from_secs_f64((share - CAREFUL) * 5.0),
                during: Duration::from_secs(10),
            },
            _ => Advice::Free,
        }
    }
}

fn stricter(a: Advice, b: Advice) -> Advice {
    let rank = |advice: &Advice| match advice {
        Advice::Free => (0, Duration::ZERO),
        Advice::Space { every, .. } => (1, *every),
        Advice::Silence(wait) => (2, *wait),
    };
    if rank(&b) > rank(&a) { b } else { a }
}

/// Whether `x-ms-throttle-scope` (`<Scope>/<Limit>/<AppId>/<TenantId>`) names more than the one mailbox, channel or
/// user that was called: everything of this application has to keep silent then.
pub fn wide_scope(header: &str) -> bool {
    let scope = header.split('/').next().unwrap_or_default().trim().to_ascii_lowercase();
    scope.contains("tenant") || scope.contains("application")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn what_is_left_is_spread() {
        let of = |limit, remaining, reset| {
            Allowance { limit, remaining: Some(remaining), reset: Some(seconds(reset)), used_share: None }
                .advice()
        };
        assert_eq!(of(Some(1_250), 1_000, 30), Advice::Free);
        assert_eq!(
            of(Some(1_250), 60, 30),
            Advice::Space { every: Duration::from_millis(500), during: seconds(30) }
        );
        assert_eq!(of(None, 0, 30), Advice::Silence(seconds(30)));
        assert_eq!(of(None, 0, 0), Advice::Free, "the window is over");
        assert_eq!(of(None, 0, 100_000), Advice::Silence(MAX_SILENCE), "no header stops us for ever");
        let share = |share| Allowance { used_share: Some(share), ..Allowance::default() }.advice();
        assert_eq!(share(0.8), Advice::Free);
        assert_eq!(share(1.0), Advice::Silence(seconds(1)));
        assert_eq!(share(1.8), Advice::Silence(seconds(9)));
        assert_eq!(share(f64::NAN), Advice::Free);
    }

    #[test]
    fn scopes() {
        assert!(wide_scope("Tenant_Application/ReadWrite/9a3d526c/4e42"));
        assert!(wide_scope("Application/Read/9a3d526c/"));
        assert!(!wide_scope("Mailbox/Read/9a3d526c/4e42") && !wide_scope(""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn fewer_calls_left_never_means_more_freedom(
            limit in 1u64..100_000, a in 0u64..100_000, b in 0u64..100_000, reset in 1u64..200,
        ) {
            let advice = |remaining| Allowance {
                limit: Some(limit), remaining: Some(remaining), reset: Some(seconds(reset)), used_share: None,
            }.advice();
            let (less, more) = (advice(a.min(b)), advice(a.max(b)));
            prop_assert_eq!(stricter(less, more), less);
        }

        #[test]
        fn spaced_calls_fit_into_what_is_left(limit in 1u64..10_000, remaining in 1u64..10_000, reset in 1u64..60) {
            let advice = Allowance {
                limit: Some(limit), remaining: Some(remaining), reset: Some(seconds(reset)), used_share: None,
            }.advice();
            if let Advice::Space { every, during } = advice && every < MAX_SPACE {
                let calls = during.as_secs_f64() / every.as_secs_f64();
                let most = f64::from(u32::try_from(remaining).expect("small")) * 1.01 + 1.0;
                prop_assert!(calls <= most, "{calls} of {remaining}");
            }
        }

        #[test]
        fn no_header_silences_for_longer_than_a_minute(share in proptest::num::f64::ANY, reset: u64, left: u64) {
            let advice = Allowance {
                limit: None, remaining: Some(left), reset: Some(seconds(reset)), used_share: Some(share),
            }.advice();
            if let Advice::Silence(wait) = advice {
                prop_assert!(wait <= MAX_SILENCE);
            }
        }
    }
}
