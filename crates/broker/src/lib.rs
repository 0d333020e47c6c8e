//! The only crate that names lapin: topology, confirmed publishing, consuming.
//!
//! A [`Broker`] has two connections, one to publish and one to consume, because the server blocks a whole
//! connection that publishes when it is short of memory or disk: acknowledgements must not wait behind that.
//! Whatever goes wrong on a connection or channel, it is thrown away and built anew, topology included
//! (docs/adr/0007-broker-recovery.md); lapin's own recovery stays off.
//!
//! Every wait has a deadline. A publish whose confirm did not come is of unknown fate, never failed.

mod broker;
mod config;
mod consumer;
mod delivery;
mod depth;
mod error;
mod headers;
mod link;
mod metrics;
mod publisher;
mod reconcile;
mod repair;
mod spans;
mod topology;
mod watchdog;

pub use broker::Broker;
pub use config::BrokerConfig;
pub use consumer::Consumer;
pub use delivery::Delivery;
pub use depth::{Depth, Depths};
pub use error::{BrokerError, Result};
pub use metrics::METRICS;
pub use publisher::{Outgoing, Publisher};
pub use reconcile::Fate;
pub use topology::Topology;
pub use watchdog::Watchdog;
