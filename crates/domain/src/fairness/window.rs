//! How many bells a queue of the broker should hold ready.

use std::time::Duration;

/// Fewest bells held ready, as long as the workers are not known to be slow.
pub const MIN_WINDOW: usize = 200;
/// Fewest bells held ready for slow workers: an interactive bell waits behind all of them, and the relay
/// refills in far less time than they take for one.
pub const SLOW_WINDOW: usize = 32;
/// Time for which the queue never ran empty, after which its workers are slow if they took few.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bells held ready.
pub const MAX_WINDOW: usize = 5000;
/// Time over which the drain is averaged, in seconds.
const SMOOTHING: f64 = 1.0;

/// The bells that one queue should hold: what its workers take out in about a second.
#[derive(Debug, Clone)]
pub struct Window {
    size: usize,
    /// Bells drained a second.
    rate: f64,
    /// Ready at the last look.
    ready: usize,
    /// How long it has not run empty.
    filled: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: MIN_WINDOW, rate: 0.0, ready: 0, filled: Duration::ZERO }
    }
}

impl Window {
    /// Its size now.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Takes a look into account: `ready` bells are in the queue, `elapsed` after the look before, and
    /// `published` were put in meanwhile by whoever asks. Returns the room that is left.
    pub fn observe(&mut self, ready: usize, published: usize, elapsed: Duration) -> usize {
        let offered = self.ready + published;
        // Other relays publish too: then the drain is larger than it looks, and each of them keeps to less.
        let drained = offered.saturating_sub(ready);
        let seconds = elapsed.as_secs_f64().max(0.001);
        let weight = 1.0 - (-seconds / SMOOTHING).exp();
        self.rate += weight * (as_f64(drained) / seconds - self.rate);
        let wanted = ceil(self.rate * SMOOTHING);
        // Filled and run empty, it held too little, whatever the average says. A trickle proves nothing.
        let starved = ready == 0 && offered * 2 >= self.size;
        let size = if starved { wanted.max(self.size * 2) } else { wanted.max(self.size.min(ready)) };
        self.filled = if ready == 0 { Duration::ZERO } else { self.filled.saturating_add(elapsed) };
        // Without any worker there is nobody to be slow.
        let slow = self.filled >= PATIENCE && self.rate > 0.0;
        self.size = size.clamp(if slow { SLOW_WINDOW } else { MIN_WINDOW }, MAX_WINDOW);
        self.ready = ready;
        self.size.saturating_sub(ready)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a queue holds fewer than 2^52 bells")]
fn as_f64(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=MAX_WINDOW")]
fn ceil(number: f64) -> usize {
    number.ceil().clamp(0.0, as_f64(MAX_WINDOW)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(
            looks in prop::collection::vec((0..20_000_usize, 0..6000_usize, 0..5000_u64), 1..50),
        ) {
            let mut window = Window::default();
            for (ready, published, millis) in looks {
                let room = window.observe(ready, published, Duration::from_millis(millis));
                prop_assert!((SLOW_WINDOW..=MAX_WINDOW).contains(&window.size()));
                prop_assert_eq!(room, window.size().saturating_sub(ready));
            }
        }

        #[test]
        fn it_follows_steady_workers(rate in 50..4000_u32) {
            // Workers take `rate` a second out of whatever is there; looks come every 20 ms.
            let (mut window, mut ready, mut published, mut credit) = (Window::default(), 0_usize, 0, 0.0);
            let mut drained = 0;
            for look in 0..400 {
                let room = window.observe(ready, published, Duration::from_millis(20));
                published = room;
                ready += room;
                credit += f64::from(rate) / 50.0;
                let takes = ceil(credit.floor()).min(ready);
                credit = (credit - as_f64(takes)).min(f64::from(rate));
                ready -= takes;
                if look >= 300 {
                    drained += takes;
                }
            }
            prop_assert!(as_f64(drained) >= 1.9 * f64::from(rate), "{drained} of {rate} a second in two seconds");
            prop_assert!(as_f64(window.size()) <= (2.5 * f64::from(rate)).max(400.0), "{} for {rate}", window.size());
        }
    }

    #[test]
    fn it_grows_when_run_empty_and_shrinks_for_slow_workers_alone() {
        let mut window = Window::default();
        for _ in 0..100 {
            // Nobody takes anything.
            assert_eq!(window.observe(MIN_WINDOW, 0, Duration::from_millis(100)), 0);
        }
        for _ in 0..9 {
            let published = window.size();
            window.observe(0, published, Duration::from_millis(20));
        }
        assert_eq!(window.size(), MAX_WINDOW);
        let mut ready = MAX_WINDOW;
        while ready > SLOW_WINDOW {
            // Two jobs a second.
            assert_eq!(
                window.observe(ready, 0, Duration::from_millis(500)),
                window.size().saturating_sub(ready)
            );
            ready -= 1;
        }
        assert_eq!(window.size(), SLOW_WINDOW + 1);
        for _ in 0..100 {
            window.observe(0, 1, Duration::from_millis(500));
        }
        assert_eq!(window.size(), MIN_WINDOW, "a trickle");
    }
}
