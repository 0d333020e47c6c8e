//! Fresh databases, private broker topologies, workers and schedulers in process: for tests and benches only.
//!
//! The servers are those of `make test` (`TEST_POSTGRES_URL`, `TEST_AMQP_URL`, `TEST_REDIS_URL`). Every test
//! has a database and a broker prefix of its own, so tests run side by side.

pub mod bench_job;
pub mod db;
pub mod e2e;
pub mod handler;
pub mod jobs_campaign;
pub mod meter;
pub mod private_broker;
pub mod proxy;
pub mod rig;
pub mod servers;
pub mod wait;

pub use db::{TestDb, fresh_database};
pub use handler::scripted;
pub use private_broker::PrivateBroker;
pub use rig::Rig;
pub use wait::{eventually, within};
