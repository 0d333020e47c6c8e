//! The room that is left in each queue of the broker.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use broker::{BrokerError, Depths};
use contracts::jobs::Queue;
use domain::fairness::{INTERACTIVE, MAX_WINDOW, MIN_WINDOW, Window};
use store::jobs::OutboxRow;

use super::queue_of;
use crate::weights::Weights;

/// How long an answer of the broker counts, together with what was published since.
const FRESH: Duration = Duration::from_secs(1);

/// The part of a window above the smallest that one message may be, so that slow workers get bells one by one and can
/// share them.
const BUNDLE_SHARE: usize = 64;

/// Windows of the queues, and what the broker said last.
pub(super) struct Rooms {
    depths: Depths,
    weights: Weights,
    queues: HashMap<Queue, Known>,
}

struct Known {
    window: Window,
    asked: Instant,
    /// Bells in the messages that were there.
    ready: usize,
    /// Bells published by this relay since it asked.
    published: usize,
    /// Messages that it put them into.
    messages: usize,
}

impl Known {
    fn held(&self) -> usize {
        self.ready + self.published
    }
}

/// Places in one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// For everyone, in turn.
    pub(super) shared: usize,
    /// For what a person waits for: no more than a flood of it would fill.
    pub(super) interactive: usize,
}

impl Rooms {
    pub(super) fn new(depths: Depths, weights: Weights) -> Self {
        Self { depths, weights, queues: HashMap::new() }
    }

    /// The room in a queue; asks the broker when what is known is old, or does not hold `need`.
    pub(super) async fn room(&mut self, queue: Queue, need: usize) -> Result<Room, BrokerError> {
        let known = self.queues.get(&queue);
        let enough = known.is_some_and(|known| {
            known.asked.elapsed() < FRESH && known.window.size().saturating_sub(known.held()) >= need
        });
        if !enough {
            self.ask(queue).await?;
        }
        Ok(self.queues.get(&queue).map_or(Room { shared: 0, interactive: 0 }, |known| Room {
            shared: known.window.size().saturating_sub(known.held()),
            interactive: MAX_WINDOW.saturating_sub(known.held()),
        }))
    }

    async fn ask(&mut self, queue: Queue) -> Result<(), BrokerError> {
        let messages = self.depths.of(queue).await?.ready;
        let now = Instant::now();
        let known = self.queues.entry(queue).or_insert_with(|| Known {
            window: Window::default(),
            asked: now,
            ready: 0,
            published: 0,
            messages: 0,
        });
        self.weights.published(queue, messages, known.published, known.messages);
        let ready = self.weights.bells(queue, messages);
        known.window.observe(ready, known.published, now.duration_since(known.asked));
        (known.asked, known.ready, known.published, known.messages) = (now, ready, 0, 0);
        metrics::gauge!("bells_ready", "queue" => queue.name()).set(float(ready));
        metrics::gauge!("bells_window", "queue" => queue.name()).set(float(known.window.size()));
        Ok(())
    }

    /// A message with so many bells goes into the queue.
    pub(super) fn published(&mut self, queue: Queue, bells: usize) {
        if let Some(known) = self.queues.get_mut(&queue) {
            known.published += bells;
            known.messages += 1;
        }
    }

    /// How many bells a message for this queue may have: one, unless many are taken out of it in a second.
    pub(super) fn bundle(&self, queue: Queue) -> usize {
        self.queues
            .get(&queue)
            .map_or(1, |known| known.window.size().saturating_sub(MIN_WINDOW) / BUNDLE_SHARE)
    }

    /// Whether there is room for all of these, not counting those that need none.
    pub(super) async fn fits(&mut self, rows: &[OutboxRow]) -> Result<bool, BrokerError> {
        let mut needs: HashMap<Queue, (usize, usize)> = HashMap::new();
        for row in rows {
            if let Some(queue) = queue_of(row) {
                let (shared, interactive) = needs.entry(queue).or_default();
                *(if row.priority >= INTERACTIVE { interactive } else { shared }) += 1;
            }
        }
        for (queue, (shared, interactive)) in needs {
            let room = self.room(queue, shared).await?;
            if room.shared < shared || room.interactive < interactive {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a queue holds fewer than 2^52 bells")]
fn float(number: usize) -> f64 {
    number as f64
}
