//! The service against a scripted Graph.

mod drives;
mod sending;
mod status;
mod subscriptions;
mod support;
