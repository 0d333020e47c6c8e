//! Calls that leave the house: HTTP, provider tokens, the vault they rest in, the throttle fence, circuit breaker and
//! retries.
//!
//! The only crate that names `reqwest`. [`http::HttpClient`] is the plain client without policy;
//! [`provider::ProviderClient`] adds what a provider's rules ask for.

pub mod audit_keys;
pub mod audit_subjects;
pub mod http;
pub mod jwks;
mod metrics;
pub mod provider;
pub mod redact;
pub mod rich;
pub mod throttle;
pub mod token;
pub mod vault;

pub use self::metrics::METRICS;
pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use url::Url;
