//! A stand-in for Microsoft (identity, Graph: drives, mail, Teams) and Google (identity, Calendar), for development, demo and tests only.
//!
//! It behaves as the providers are documented and observed to behave, and has every fault as a switch
//! on its control side. Clients reach it by nothing but its address.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "arena indexes are 32 bits by construction, and sizes, times and hashes are packed into bytes"
)]

mod cli;
mod client;
mod clock;
mod config;
mod control;
mod emulator;
mod faults;
pub mod google;
mod http;
mod ledger;
mod microsoft;
mod rng;
mod server;
mod usage;
mod world;

pub use cli::Cli;
pub use config::{
    App, Config, DEMO_CLIENT, DEMO_GOOGLE_ACCOUNT, DEMO_GOOGLE_CLIENT, DEMO_GOOGLE_SECRET, DEMO_SECRET,
    DEMO_TENANT, DriveKind, DriveOptions, DriveSpec, DriveType, LinkStyle,
};
pub use emulator::{Emulator, StartError};
pub use microsoft::seed;
