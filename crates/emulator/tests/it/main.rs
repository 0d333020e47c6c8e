//! The emulator judged from outside, over its sockets.

#![expect(clippy::similar_names, reason = "a stage has a state")]

mod batch;
mod binary;
mod delta;
mod faults;
mod folder;
mod identity;
mod items;
mod model;
mod subscriptions;
mod support;
mod throughput;
mod upload;
