//! The crate against servers that misbehave.

mod http;
mod provider;
mod support;
mod token;
