//! The job layer beside the least that a competent program does with the same servers, and beside its peers.

pub mod bare;
pub mod drain;
pub mod enqueue;
pub mod group;
pub mod knobs;
pub mod latency;
pub mod memory;
pub mod peers;
pub mod pinned;
pub mod retry_all;
pub mod world;
