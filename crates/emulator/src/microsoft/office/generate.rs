//! Mail in bulk, the same for the same seed.

use super::mailbox::Mailbox;
use super::message::{Message, Person};
use crate::rng::SplitMix;

const SUBJECTS: [&str; 8] = [
    "Minutes of the site meeting",
    "Offer for the façade",
    "Delivery dates, second floor",
    "Invoice 2026-0417",
    "Change request: stairwell",
    "Photos of Tuesday",
    "Safety instructions",
    "Question about the plans",
];
const PEOPLE: [&str; 6] = ["ada", "ben", "eve", "françois", "office", "noreply"];
const WORDS: [&str; 12] = [
    "concrete", "window", "please", "find", "attached", "the", "tomorrow", "drawing", "approved", "late",
    "crane", "regards",
];
/// Mean distance of two mails, in milliseconds.
const STEP: u64 = 600_000;

/// Fills a folder, the newest mail being of about now. Nobody is notified.
pub(crate) fn fill(mailbox: &mut Mailbox, folder: u32, count: u32, seed: u64, now: i64) {
    let mut dice = SplitMix::new(seed);
    let mut at = now - (u64::from(count) * STEP) as i64;
    for number in 0..count {
        at += (dice.below(2 * STEP)) as i64;
        let at = at.min(now);
        let mut message = Message::draft(&mailbox.owner, at);
        let words: Vec<&str> = (0..5 + dice.below(40)).map(|_| *dice.pick(&WORDS)).collect();
        message.from = Some(Person::of(&format!("{}@partner.example", dice.pick(&PEOPLE))));
        message.to = vec![mailbox.owner.clone()];
        message.subject = format!("{} ({number})", dice.pick(&SUBJECTS));
        (message.html, message.body) = (dice.chance(0.5), words.join(" "));
        if message.html {
            message.body = format!("<html><body><p>{}</p></body></html>", message.body);
        }
        (message.is_draft, message.is_read) = (false, dice.chance(0.7));
        message.internet_message_id = format!("<{seed:x}.{number:x}.{:x}@partner.example>", mailbox.salt);
        mailbox.put(folder, message);
    }
}
