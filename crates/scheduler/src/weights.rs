//! How many bells a message of each queue has on average: the broker counts messages, the ledger jobs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::jobs::Queue;

/// What is known of one queue.
#[derive(Debug, Clone, Copy)]
struct Weight {
    /// Bells of a message.
    mean: f64,
    /// Messages that were in the queue at the last look.
    messages: usize,
}

/// Average bells of a message, by queue; 1 as long as this process has published nothing. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weights(Arc<Mutex<HashMap<Queue, Weight>>>);

impl Weights {
    /// Notes that `bells` went out in `messages` since the last look, and that the queue holds `ready` messages now.
    pub(crate) fn published(&self, queue: Queue, ready: usize, bells: usize, messages: usize) {
        let mut known = self.known();
        let weight = known.entry(queue).or_insert(Weight { mean: 1.0, messages: 0 });
        if messages > 0 {
            // As if what was there and what came were taken out alike.
            let before = weight.mean * float(weight.messages);
            weight.mean = (before + float(bells)) / float(weight.messages + messages);
        }
        weight.messages = ready;
    }

    /// The bells in so many messages.
    pub(crate) fn bells(&self, queue: Queue, messages: usize) -> usize {
        let mean = self.known().get(&queue).map_or(1.0, |weight| weight.mean);
        ceil(float(messages) * mean)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Queue, Weight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a queue holds fewer than 2^52 messages")]
fn float(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "neither negative nor large")]
fn ceil(number: f64) -> usize {
    number.ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_what_is_published() {
        let weights = Weights::default();
        let queue = Queue::Maintenance;
        assert_eq!(weights.bells(queue, 7), 7, "nothing is known");
        weights.published(queue, 10, 320, 10);
        assert_eq!(weights.bells(queue, 3), 96);
        weights.published(queue, 0, 10, 10);
        assert_eq!(weights.bells(queue, 2), 33, "half of them were single bells");
        weights.published(queue, 0, 5, 5);
        assert_eq!(weights.bells(queue, 4), 4, "the old ones are gone");
        weights.published(queue, 4, 0, 0);
        assert_eq!(weights.bells(queue, 4), 4);
    }
}
