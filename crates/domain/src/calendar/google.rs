//! Google's event JSON to the canonical event and back.
//!
//! Reading keeps nothing back: the raw JSON stays beside the canonical form, and writing starts from
//! it, so that fields which are not modelled survive.

mod read;
mod write;

pub use read::{Incoming, Unreadable, read};
pub use write::{insert, patch, undelete};
