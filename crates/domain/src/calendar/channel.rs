//! When a push channel is replaced.
//!
//! A channel cannot be renewed, only followed by another one, and nobody can list those that exist: the rows are the
//! only memory. A new row is committed first, then `watch` is called; when its answer is stored the row is active, and
//! only then the old channel is stopped (`gcal-connector`).

/// The share of a channel's real lifetime, as the provider answered it and not as it was asked for, after which the
/// next one is registered.
pub const RENEW_AT: f64 = 0.75;
