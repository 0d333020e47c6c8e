//! The Google half: identity, Calendar v3 and push channels.

mod access;
mod batch;
mod consent;
mod control;
mod deliveries;
mod fields;
mod model;
mod oauth;
mod push;
mod query;
mod routes;
mod serve;
mod service;
mod token;
mod ui;

pub use model::*;
pub use oauth::GoogleApp;

pub(crate) use control::{Mint, mint, router, state};
pub(crate) use push::run as deliver;
pub(crate) use serve::{by_hand, judge, serve};
pub(crate) use service::Service;
