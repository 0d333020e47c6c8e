//! The audit trail's proofs: canonical records, hash chain, Merkle tree, signed checkpoints, and the judgement over a
//! stream of records. Pure: keys, clock and signatures are given.
//!
//! Two nets catch different hands. The chain (`h_n = HMAC(k, h_{n-1} || n || record)`) cannot be continued by who
//! lacks the key; the tree (RFC 6962) with checkpoints that were signed and published binds even those who have it.

pub mod canonical;
pub mod chain;
pub mod checkpoint;
pub mod diff;
pub mod merkle;
pub mod outcome;
pub mod personal;
pub mod prove;
pub mod record;
pub mod retention;
pub mod verify;

pub use chain::{ChainKey, Hash, link};
pub use checkpoint::{Checkpoint, NoteFault, SignedNote, origin};
pub use diff::changes;
pub use merkle::Frontier;
pub use record::{Record, Sealed};
pub use verify::{Fault, Keys, Position, Reason, Report, Verifier};
