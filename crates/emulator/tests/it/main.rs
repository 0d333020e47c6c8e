//! The emulator judged from outside, over its sockets.

#![expect(clippy::similar_names, reason = "a stage has a state")]

mod batch;
mod binary;
mod delta;
mod faults;
mod folder;
mod identity;
mod items;
mod microsoft_events;
mod microsoft_mail;
mod microsoft_sending;
mod microsoft_subscriptions;
mod microsoft_teams;
mod model;
mod subscriptions;
mod support;
mod throughput;
mod upload;
