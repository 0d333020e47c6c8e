//! Calls to a provider under its rules: token, throttle fence, circuit breaker, retries.

mod breaker;
mod call;
mod challenge;
mod client;
mod error;
mod pace;
mod reading;
mod skew;

pub use breaker::{BreakerStatus, ServiceBreaker};
pub use call::Call;
pub use client::{ProviderClient, ProviderSettings};
pub use error::CallError;
pub use reading::Reading;
pub use skew::ServerSkew;
