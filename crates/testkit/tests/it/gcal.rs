//! gcal-connector in process, over gRPC, with a fresh database, in front of a small stand-in for Google.

mod calls;
mod channels;
mod consents;
mod google;
mod grants;
pub mod world;
