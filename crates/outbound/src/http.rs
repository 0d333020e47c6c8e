//! A plain HTTP client with limits and without policy.

mod client;
mod error;
mod request;

pub use client::{HttpClient, HttpClientBuilder};
pub use error::HttpError;
pub use request::{Connection, Request, Response};
