//! Runs jobs: claims them in the ledger when the broker rings, keeps their lease, ends their attempts.
//!
//! A handler is a struct that implements [`Handler`] for one payload type. It does its work in transactions
//! from [`JobContext::begin`], each ended with [`JobContext::commit`] (or [`JobContext::checkpoint`]), which
//! check the fence, and the last one with [`JobContext::commit_done`], so that effect and "done" mark commit
//! together. What it returns as [`JobError`] says whether the job is tried again, parked or buried.
//!
//! A kind whose effects are rows alone may implement [`GroupHandler`] instead: many jobs in one transaction.
//!
//! The message is acknowledged as soon as the claim is committed; from there on the lease in the ledger
//! governs, however long the job runs.

mod attempt;
mod conclude;
mod config;
mod context;
mod dispatch;
mod error;
mod group;
mod group_attempt;
mod handler;
mod intake;
mod lease;
mod metrics;
mod panics;
mod runtime;
mod span;

pub use config::RuntimeConfig;
pub use context::JobContext;
pub use error::JobError;
pub use group::{GroupHandler, GroupJob};
pub use handler::{Handler, Handlers, Outcome};
pub use metrics::METRICS;
pub use runtime::{Host, Runtime};
