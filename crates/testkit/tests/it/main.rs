//! Integration tests against the real PostgreSQL and RabbitMQ.

mod api;
mod broker;
mod broker_faults;
mod bundles;
mod catalogue;
mod claims;
mod crashes;
mod deaths;
mod fake_connector;
mod given_up;
mod groups;
mod history;
mod ingress;
mod interruptions;
mod jobs;
mod ledger;
mod lost;
mod metrics;
mod relay;
mod rollouts;
mod scheduler;
mod schedules;
mod storm;
mod support;
mod syncctl;
