//! The Google half, line by line of the checklist E1 to E44: the model first, then the wire.

mod calls;
mod lists;
mod mirror;
mod oauth;
mod push;
mod services;
mod stage;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the other half, which use all of it")]
mod support;
mod switches;
mod wire;
mod writes;
