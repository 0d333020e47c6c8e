//! End to end: every service and the stand-in as processes, over the servers of `make test`.

mod aos;
mod calendar;
mod campaign;
mod changes;
mod faults;
mod jobs_campaign;
mod messages;
mod names;
mod oracle;
mod outlook;
mod recovery;
mod safety;
mod support;
mod tracing;
