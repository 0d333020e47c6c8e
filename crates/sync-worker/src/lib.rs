//! Runs the sync jobs: documents today, further sources beside them.
//!
//! Stateless: everything that outlives a job is in PostgreSQL. Providers are reached through the connectors
//! alone.

pub mod calendar;
pub mod config;
pub mod connector;
pub mod documents;
pub mod fault;
pub mod housekeeping;
pub mod maintenance;
pub mod messages;
mod metrics;
mod service;
mod steps;

pub use metrics::METRICS;
pub use service::{handlers, start};
