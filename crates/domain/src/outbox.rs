//! What becomes of a message that is to be sent: at most once, and never forgotten.
//!
//! Every state is committed before the call that it names. A mail is a draft with an immutable id, so that it can be
//! looked up and sending it twice is impossible while it is a draft (outlook-immutable-id, Graph v1.0). A card is posted
//! to a workflow that offers no look-up: one whose answer was lost waits for a person.

use serde::{Deserialize, Serialize};

/// Look-ups that must find a mail still a draft before it is sent again.
pub const DRAFT_PROOFS: i32 = 3;
/// Look-ups after which a mail that is not to be found waits for a person.
pub const MAX_LOOKUPS: i32 = 8;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A mail of a mailbox.
    Mail,
    /// An adaptive card to a Teams workflow.
    Card,
}

/// Where a sending stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was done.
    Pending,
    /// The draft exists.
    Drafted,
    /// Its attachments as well.
    Attached,
    /// The provider is being asked to send: from here on it may have happened.
    Submitting,
    /// The provider took it.
    Submitted,
    /// It may have been sent, and nobody can tell: a person decides.
    Ambiguous,
    /// It was sent.
    Sent,
    /// It was refused; nothing was sent.
    Failed,
    /// Called off; nothing more is done.
    Cancelled,
}

impl State {
    /// Name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Drafted => "drafted",
            State::Attached => "attached",
            State::Submitting => "submitting",
            State::Submitted => "submitted",
            State::Ambiguous => "ambiguous",
            State::Sent => "sent",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// The state with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [
            State::Pending,
            State::Drafted,
            State::Attached,
            State::Submitting,
            State::Submitted,
            State::Ambiguous,
            State::Sent,
            State::Failed,
            State::Cancelled,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }

    /// Whether it can be called off with the certainty that nothing was sent.
    pub const fn is_cancellable(self) -> bool {
        matches!(self, State::Pending | State::Drafted | State::Attached | State::Failed)
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make sure that the draft exists.
    Draft,
    /// Upload what is attached.
    Attach,
    /// Commit [`State::Submitting`], then ask the provider to send.
    Submit,
    /// Ask what became of it.
    LookUp,
    /// The answer was lost and nobody can be asked: commit [`State::Ambiguous`].
    GiveToPerson,
    /// Nothing.
    Rest,
}

/// What a run that finds the row in this state does first. A row that says `Submitting` at the beginning of a run is
/// one whose answer was lost: the run that wrote it died.
pub fn begin(kind: Kind, state: State) -> Step {
    match (state, kind) {
        (State::Pending, Kind::Mail) => Step::Draft,
        (State::Drafted, Kind::Mail) => Step::Attach,
        (State::Attached, Kind::Mail) | (State::Pending, Kind::Card) => Step::Submit,
        (State::Submitting | State::Submitted | State::Ambiguous, Kind::Mail) => Step::LookUp,
        (State::Submitting, Kind::Card) => Step::GiveToPerson,
        _ => Step::Rest,
    }
}

/// How the provider answered the request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submission {
    /// It took it.
    Taken,
    /// The answer was lost.
    Lost,
    /// It refused before doing anything, and may take it later.
    NotNow,
    /// It refused for good.
    Refused,
}

/// The state after the request to send.
pub fn submitted(kind: Kind, answer: Submission) -> State {
    match (answer, kind) {
        (Submission::Taken, Kind::Mail) => State::Submitted,
        (Submission::Taken, Kind::Card) => State::Sent,
        // Looked up by the next run.
        (Submission::Lost, Kind::Mail) => State::Submitting,
        (Submission::Lost, Kind::Card) => State::Ambiguous,
        (Submission::NotNow, Kind::Mail) => State::Attached,
        (Submission::NotNow, Kind::Card) => State::Pending,
        (Submission::Refused, _) => State::Failed,
    }
}

/// Where a mail was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nowhere.
    Absent,
    /// Still a draft.
    Draft,
    /// On its way.
    Submitted,
    /// Among the sent.
    Sent,
}

/// The state after the `lookups`-th look-up since the request to send (1 for the first); `None`: look again later.
/// `taken`: the provider had said that it took it.
pub fn looked_up(taken: bool, found: Found, lookups: i32) -> Option<State> {
    match found {
        Found::Sent => Some(State::Sent),
        // A draft that stays one was not sent, unless the provider said that it would send it.
        Found::Draft if !taken && lookups >= DRAFT_PROOFS => Some(State::Attached),
        _ if lookups >= MAX_LOOKUPS => Some(State::Ambiguous),
        Found::Absent | Found::Draft | Found::Submitted => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A provider that sends a draft at most once, loses answers, and moves mail when it likes.
    #[derive(Debug, Default)]
    struct Provider {
        sent: u32,
        queued: bool,
    }

    fn step(
        kind: Kind,
        state: &mut State,
        lookups: &mut i32,
        taken: &mut bool,
        dice: &mut impl Iterator<Item = u8>,
        provider: &mut Provider,
    ) {
        let mut roll = || dice.next().unwrap_or(0);
        match begin(kind, *state) {
            Step::Draft => *state = State::Drafted,
            Step::Attach => *state = State::Attached,
            Step::Submit => {
                (*state, *lookups, *taken) = (State::Submitting, 0, false);
                // Mail: a draft that is gone from the drafts cannot be sent again. Cards: every call posts.
                let roll = roll();
                let acts = roll % 4 < 2;
                if acts {
                    if kind == Kind::Card {
                        provider.sent += 1;
                    } else if provider.sent == 0 {
                        provider.queued = true;
                    }
                }
                let answer = match roll % 4 {
                    0 => Submission::Taken,
                    1 | 2 => Submission::Lost,
                    _ => Submission::NotNow,
                };
                if roll < 200 {
                    *taken = answer == Submission::Taken;
                    *state = submitted(kind, answer);
                }
            }
            Step::LookUp => {
                // What is queued has left the drafts.
                let was_queued = provider.queued;
                if was_queued && roll() % 2 == 0 {
                    provider.queued = false;
                    provider.sent += 1;
                }
                let found = if provider.sent > 0 {
                    Found::Sent
                } else if was_queued {
                    Found::Submitted
                } else {
                    Found::Draft
                };
                *lookups += 1;
                if let Some(next) = looked_up(*taken, found, *lookups) {
                    *state = next;
                }
            }
            Step::GiveToPerson => *state = State::Ambiguous,
            Step::Rest => {}
        }
    }

    proptest! {
        #[test]
        fn nothing_is_sent_twice_and_nothing_is_called_sent_that_was_not(
            card: bool, rolls in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let kind = if card { Kind::Card } else { Kind::Mail };
            let (mut state, mut lookups, mut taken) = (State::Pending, 0, false);
            let mut provider = Provider::default();
            let mut dice = rolls.into_iter();
            for _ in 0..300 {
                step(kind, &mut state, &mut lookups, &mut taken, &mut dice, &mut provider);
                prop_assert!(provider.sent <= 1, "sent {} times", provider.sent);
                prop_assert!(state != State::Sent || provider.sent == 1);
                prop_assert!(!state.is_cancellable() || provider.sent == 0, "{state:?} after it was sent");
            }
            prop_assert!(matches!(state, State::Sent | State::Ambiguous), "{state:?}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for name in [
            "pending",
            "drafted",
            "attached",
            "submitting",
            "submitted",
            "ambiguous",
            "sent",
            "failed",
            "cancelled",
        ] {
            assert_eq!(State::of_name(name).map(State::as_str), Some(name));
        }
        assert_eq!(State::of_name("gone"), None);
    }
}
