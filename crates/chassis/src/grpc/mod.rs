//! gRPC with traces and deadlines on both sides.

mod client;
mod server;

pub use client::{ChannelError, TracedChannel, channel};
pub use server::{ServeError, serve};
