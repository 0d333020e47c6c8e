//! Integration tests against the real PostgreSQL and RabbitMQ.

mod api;
mod broker;
mod catalogue;
mod fake_connector;
mod ingress;
mod interruptions;
mod jobs;
mod ledger;
mod metrics;
mod scheduler;
mod storm;
mod support;
mod syncctl;
