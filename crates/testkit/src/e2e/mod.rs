//! The whole platform as processes: the stand-in, every service, and what to compare their work with.

pub mod caller;
pub mod campaign;
pub mod dice;
pub mod expected;
pub mod google;
pub mod patience;
pub mod platform;
pub mod ports;
pub mod process;
pub mod sql;
pub mod stack;
pub mod tenant;

pub use platform::{Options, Platform};
pub use tenant::Tenant;
