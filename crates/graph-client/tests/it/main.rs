//! Documented bodies, and calls against a scripted Graph.

mod calls;
mod fixtures;
mod mail;
mod support;
