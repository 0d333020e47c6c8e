//! Access tokens: of Microsoft Entra by client credentials (provider facts A10), of others by [`TokenSource`].

mod answer;
mod config;
mod error;
mod rotation;
mod source;
mod state;

pub use config::EntraConfig;
pub use error::TokenError;
pub use rotation::{Failed, Rotation};
pub use source::{EntraTokens, TokenSource, TokenStatus};
