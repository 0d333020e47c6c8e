//! The service against a scripted Graph.

mod drives;
mod status;
mod subscriptions;
mod support;
