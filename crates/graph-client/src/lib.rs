//! Microsoft Graph v1.0 as this system reads it: lenient models, classified errors, drives and subscriptions.
//!
//! Everything goes through [`outbound::provider::ProviderClient`], which keeps the provider's rules. Links of the
//! provider are opaque, but a bearer token only ever goes to the configured host.

mod batch;
mod client;
mod drives;
mod error;
mod items;
mod link;
mod subscriptions;
mod timestamp;

pub use batch::{BatchOutcome, BatchRequest, MAX_BATCH};
pub use client::GraphClient;
pub use drives::{DeltaCursor, DeltaPage, DriveInfo, FolderRef, ItemPage, ItemRef, NextLink};
pub use error::{ErrorBody, GraphError, GraphErrorKind, Support, parse_error};
pub use items::{Item, ItemPageBody, PoisonItem, read_item, read_page};
pub use subscriptions::{NewSubscription, Subscription};
pub use timestamp::parse_timestamp;
