//! The crate against a real Redis, which is killed on the way.

mod cache;
mod fence;
mod server;
