//! The crate against servers that misbehave.

mod http;
mod provider;
mod rich;
mod rotation;
mod support;
mod token;
