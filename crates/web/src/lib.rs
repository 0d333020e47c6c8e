//! The HTTP kit of the services that speak REST: errors as problem documents, authentication by
//! extractor, pages, throttling, and the layers that every answer passes through.

pub mod auth;
pub mod idempotency;
pub mod json;
pub mod kit;
pub mod page;
pub mod path;
pub mod problem;
pub mod query;
pub mod rate;
mod serve;

pub use serve::{ServeError, serve};
