//! Who calls, and what they may do: JWT bearer tokens, checked by extractors.

mod claims;
mod config;
mod error;
mod extract;
mod jwks;
mod layer;
mod mint;
mod verify;

pub use claims::{Claims, Role};
pub use config::{DEVELOPMENT_SECRET, JwtConfig, KeySource};
pub use error::AuthError;
pub use extract::{Admin, Operator, Owner, Viewer};
pub use jwks::{FetchJwks, fetch_jwks_with};
pub(crate) use layer::authenticate;
pub use mint::{MintError, mint};
pub use verify::Authenticator;
