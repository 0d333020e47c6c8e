//! The service against a scripted Graph.

mod calendars;
mod drives;
mod sending;
mod status;
mod subscriptions;
mod support;
