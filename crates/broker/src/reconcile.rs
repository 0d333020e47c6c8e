//! What became of the messages of one window.
//!
//! A returned message arrives before its own acknowledgement, but lapin hands it to whichever confirm is
//! resolved next, and resolves a `multiple` acknowledgement in no particular order (seen with 4.12.3). So a
//! confirm says only whether its message was acknowledged; which messages were returned is known by their
//! ids, once the whole window is in.

use std::collections::HashSet;

/// What became of a published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The broker has stored it in every queue that it belongs to.
    Confirmed,
    /// No queue takes its routing key.
    Returned,
    /// The broker could not take it, for example because the queue is full.
    Refused,
    /// The connection broke or the confirm did not come in time: it may have been stored or not.
    Unknown,
}

impl Fate {
    /// The stable name, as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Fate::Confirmed => "confirmed",
            Fate::Returned => "returned",
            Fate::Refused => "refused",
            Fate::Unknown => "unknown",
        }
    }
}

/// What one confirm said; `None` when none came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// basic.ack
    Ack,
    /// basic.nack
    Nack,
}

/// Fates of a window, in the order of its ids. `returned` holds the ids of all returned messages, `None`
/// for one that carried no id, after which no acknowledgement can be trusted.
pub(crate) fn fates(ids: &[&str], answers: &[Option<Answer>], returned: &[Option<String>]) -> Vec<Fate> {
    let nameless = returned.iter().any(Option::is_none);
    let returned: HashSet<&str> = returned.iter().flatten().map(String::as_str).collect();
    ids.iter()
        .zip(answers)
        .map(|(id, answer)| match answer {
            _ if returned.contains(id) => Fate::Returned,
            None => Fate::Unknown,
            Some(Answer::Nack) => Fate::Refused,
            Some(Answer::Ack) if nameless => Fate::Unknown,
            Some(Answer::Ack) => Fate::Confirmed,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_count_by_id_wherever_they_were_handed_out() {
        let answers = [Some(Answer::Ack), Some(Answer::Ack), Some(Answer::Nack), None];
        assert_eq!(
            fates(&["a", "b", "c", "d"], &answers, &[Some("b".to_owned())]),
            [Fate::Confirmed, Fate::Returned, Fate::Refused, Fate::Unknown]
        );
        assert_eq!(fates(&["a", "b"], &answers[..2], &[None]), [Fate::Unknown, Fate::Unknown]);
    }
}
