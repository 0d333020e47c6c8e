//! The client against a stand-in on loopback, and against published error bodies.

mod calls;
mod fixtures;
mod support;
