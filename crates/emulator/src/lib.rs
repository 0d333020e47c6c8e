//! A stand-in for Microsoft identity and Graph drives, for development, demo and tests only.
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

mod batch;
mod children;
mod cli;
mod client;
mod clock;
mod config;
mod control;
mod control_drives;
mod cursor;
mod delta;
mod drive;
mod emulator;
mod errors;
mod faults;
mod folder;
mod generated;
mod graph;
mod http;
mod identity;
mod ids;
mod item_json;
mod items;
mod json;
mod ledger;
mod mutate;
mod names;
mod notify;
mod preauth;
mod quickxor;
mod rng;
pub mod seed;
mod select;
mod server;
mod state_dump;
mod subscriptions;
mod target;
mod tree;
mod upload;
mod usage;
mod world;

pub use cli::Cli;
pub use config::{
    App, Config, DEMO_CLIENT, DEMO_SECRET, DEMO_TENANT, DriveKind, DriveOptions, DriveSpec, DriveType,
    LinkStyle,
};
pub use emulator::{Emulator, StartError};
