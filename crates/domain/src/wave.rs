//! Retrying many dead letters without doing much harm: a few first, twice as many when they went well, and an
//! end when most of them fail again.

/// Share of the plan that goes first, in percent.
const CANARY_PERCENT: u32 = 1;
/// Most jobs of the first wave, so that a cause that still fails everything costs a hundred attempts and not a
/// hundredth of a backlog.
pub const CANARY_MOST: u32 = 100;
/// Most jobs of any wave: what is under way stays small enough to be looked at and to be taken back.
pub const WAVE_MOST: u32 = 10_000;
/// Outcomes below which nothing is concluded.
pub const ENOUGH: u32 = 5;

/// How far an operation is. All are numbers of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Of the plan.
    pub planned: u32,
    /// Taken by waves so far: retried, or skipped because they were dead letters no longer.
    pub taken: u32,
    /// Of the current wave; 0 before the first.
    pub wave_size: u32,
    /// Of the current wave taken so far.
    pub wave_taken: u32,
    /// Of the current wave without an outcome of their own: skipped, or served by another job.
    pub wave_skipped: u32,
    /// Of the current wave retried, with neither an end nor a failed attempt yet.
    pub wave_open: u32,
    /// Of the current wave failed again.
    pub wave_failed: u32,
    /// Of all waves: ended or failed again.
    pub outcomes: u32,
    /// Of all waves: not ended for good; failed once more and tried again by themselves.
    pub unsettled: u32,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Begin a wave of this size.
    Begin(u32),
    /// Retry this many more of the current wave.
    Release(u32),
    /// The current wave has jobs without an outcome: look again later.
    Wait,
    /// Every wave has its outcome; a few jobs still try by themselves: look again later.
    Settle,
    /// Most of the wave failed again: leave the rest alone.
    Abort,
    /// All is done.
    Finish,
}

/// The next step of an operation.
#[must_use]
pub fn next(progress: Progress) -> Step {
    let p = progress;
    let tried = p.wave_size.saturating_sub(p.wave_skipped);
    // Certain as soon as more than half has failed, whatever becomes of the others.
    if u64::from(p.wave_failed) * 2 > u64::from(tried) && p.outcomes >= ENOUGH {
        return Step::Abort;
    }
    if p.wave_taken < p.wave_size {
        return Step::Release(p.wave_size - p.wave_taken);
    }
    if p.wave_open > 0 {
        return Step::Wait;
    }
    let left = p.planned.saturating_sub(p.taken);
    if left > 0 {
        let size = if p.wave_size == 0 { canary(p.planned) } else { p.wave_size.saturating_mul(2) };
        return Step::Begin(size.min(WAVE_MOST).min(left));
    }
    if p.unsettled > 0 { Step::Settle } else { Step::Finish }
}

/// Size of the first wave of a plan: a hundredth, at least 1 and at most [`CANARY_MOST`].
#[must_use]
pub fn canary(planned: u32) -> u32 {
    (u64::from(planned) * u64::from(CANARY_PERCENT))
        .div_ceil(100)
        .clamp(1, u64::from(CANARY_MOST))
        .try_into()
        .unwrap_or(CANARY_MOST)
}

/// Sizes of the waves of a plan in which every retry goes well.
#[must_use]
pub fn waves(planned: u32) -> Vec<u32> {
    let mut sizes = Vec::new();
    let mut progress = Progress { planned, ..Progress::default() };
    while let Step::Begin(size) = next(progress) {
        sizes.push(size);
        progress.taken += size;
        progress.wave_size = size;
        progress.wave_taken = size;
        progress.outcomes += size;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs an operation whose n-th item fails when `fails(n)`, `burst` outcomes arriving between two steps.
    fn run(planned: u32, burst: u32, fails: impl Fn(u32) -> bool) -> (Step, u32, Vec<u32>) {
        let mut p = Progress { planned, ..Progress::default() };
        let mut sizes = Vec::new();
        let mut decided = 0;
        for _ in 0..1_000_000 {
            match next(p) {
                Step::Begin(size) => {
                    sizes.push(size);
                    p = Progress { wave_size: size, wave_taken: 0, wave_open: 0, wave_failed: 0, ..p };
                }
                Step::Release(count) => {
                    assert!(count > 0 && p.taken + count <= planned);
                    p.wave_taken += count;
                    p.wave_open += count;
                    p.taken += count;
                }
                Step::Wait => {
                    for _ in 0..burst.min(p.wave_open) {
                        p.wave_open -= 1;
                        p.outcomes += 1;
                        p.wave_failed += u32::from(fails(decided));
                        decided += 1;
                    }
                }
                end => return (end, p.taken, sizes),
            }
        }
        panic!("no end");
    }

    #[test]
    fn a_cause_that_fails_everything_costs_a_hundred_attempts() {
        assert_eq!(run(100_000, 1, |_| true), (Step::Abort, 100, vec![100]));
        assert_eq!(run(100_000, 1_000, |_| true).1, 100);
        // With few planned, the first waves are too small to conclude from.
        assert_eq!(run(30, 1, |_| true), (Step::Abort, 7, vec![1, 2, 4]));
        assert_eq!(run(3, 1, |_| true), (Step::Finish, 3, vec![1, 2]));
    }

    #[test]
    fn waves_double_up_to_a_limit() {
        assert_eq!(waves(0), Vec::<u32>::new());
        assert_eq!(waves(1_000), [10, 20, 40, 80, 160, 320, 370]);
        let many = waves(100_000);
        assert_eq!(many[..3], [100, 200, 400]);
        assert_eq!((many.iter().sum::<u32>(), many.iter().max()), (100_000, Some(&WAVE_MOST)));
    }

    #[test]
    fn what_was_skipped_is_no_outcome() {
        let wave = Progress { planned: 100, taken: 20, wave_size: 20, wave_taken: 20, ..Progress::default() };
        let failed = Progress { wave_skipped: 14, wave_failed: 3, outcomes: 6, ..wave };
        assert_eq!(next(failed), Step::Begin(40), "three of six are not more than half");
        assert_eq!(next(Progress { wave_failed: 4, ..failed }), Step::Abort);
        assert_eq!(next(Progress { wave_skipped: 20, ..wave }), Step::Begin(40));
    }

    #[test]
    fn an_operation_ends_when_its_stragglers_have() {
        let done = Progress {
            planned: 2,
            taken: 2,
            wave_size: 2,
            wave_taken: 2,
            outcomes: 2,
            ..Progress::default()
        };
        assert_eq!(next(Progress { unsettled: 1, ..done }), Step::Settle);
        assert_eq!(next(done), Step::Finish);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn every_operation_ends_and_its_harm_is_bounded(
            planned in 0_u32..30_000, burst in 1_u32..5_000, from in 0_u32..30_000, percent in 0_u32..101,
        ) {
            // From this outcome on, this share fails.
            let fails = |n: u32| n >= from && n.wrapping_mul(2_654_435_761) % 100 < percent;
            let (end, taken, sizes) = run(planned, burst, fails);
            prop_assert!(taken <= planned);
            for pair in sizes.windows(2) {
                prop_assert!(pair[1] <= pair[0] * 2);
            }
            match end {
                Step::Finish => prop_assert_eq!(taken, planned),
                Step::Abort => {
                    // At most the wave that failed, and never before anything failed.
                    prop_assert!(percent > 0);
                    let before: u32 = sizes[..sizes.len() - 1].iter().sum();
                    prop_assert!(taken - before <= (before + CANARY_MOST).min(WAVE_MOST));
                }
                other => prop_assert!(false, "ended with {:?}", other),
            }
            if percent == 0 {
                prop_assert_eq!(end, Step::Finish);
            }
            if percent == 100 && from == 0 {
                prop_assert!(taken <= 100);
            }
        }
    }
}
