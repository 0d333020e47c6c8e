//! Integration tests against the real PostgreSQL and RabbitMQ.

mod broker;
mod catalogue;
mod jobs;
mod ledger;
mod scheduler;
