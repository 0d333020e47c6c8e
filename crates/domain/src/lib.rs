//! Pure rules: no I/O, no runtime; clock and randomness are parameters.

pub mod audit;
pub mod breaker;
pub mod calendar;
pub mod drive;
pub mod explain;
pub mod fairness;
pub mod flags;
pub mod ids;
pub mod job;
pub mod mail;
pub mod names;
pub mod notification;
pub mod outbox;
pub mod quickxor;
pub mod redact;
pub mod retry;
pub mod schedule;
pub mod taxonomy;
pub mod teams;
pub mod throttle;
pub mod time;
pub mod wave;

#[cfg(test)]
mod fixture;
