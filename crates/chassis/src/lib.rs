//! What every service stands on: configuration, telemetry, lifecycle, health and the admin port.
//!
//! A service is a library with a `main.rs` of one call: [`service::main`]. Everything that is the
//! same in every process (reading the environment, logging, `/livez /readyz /metrics /log-level`,
//! the two stages of a shutdown) happens here; this is also the only crate that reads the wall
//! clock, sleeps, spawns and draws random bytes.

mod admin;
pub mod config;
pub mod grpc;
pub mod health;
pub mod ids;
pub mod lifecycle;
pub mod metrics;
pub mod net;
mod process;
pub mod secret;
pub mod service;
pub mod telemetry;
pub mod time;
pub mod trace;
pub mod wait;
