//! Outlook's event JSON (Graph v1.0 `event`) to the canonical event and back.
//!
//! Reading keeps nothing back: the raw JSON stays beside the canonical form, and writing names only what changed, so
//! that fields which are not modelled survive. What Outlook cannot express is refused with the reason ([`settle`]).
//!
//! An exception is known by its place: its id here is that of its series with the original start
//! ([`super::identity::instance_id`]), since Outlook gives an occurrence an id of which the application cannot know
//! the place. Outlook's own id of it stays in the raw JSON.

mod body;
mod pattern;
mod read;
mod series;
mod window;
mod write;
mod zones;

#[cfg(test)]
mod tests;

pub use read::read;
pub use series::{Seen, master_of, occurrence, unfold};
pub use window::Window;
pub use write::{insert, patch, settle};

/// What Outlook has no words for, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
