//! Calendars: accounts and their grants, connected calendars, push channels, the queue of app writes, conflicts.
//!
//! Tokens pass through here sealed; only `gcal-connector` can open them.

pub mod accounts;
pub mod app_events;
pub mod conflicts;
pub mod connections;
pub mod consents;
mod content;
pub mod grants;
pub mod outlook;
pub mod queue;
pub mod rows;
pub mod webhooks;
