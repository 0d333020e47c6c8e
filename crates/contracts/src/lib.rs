//! What services say to each other: versioned job messages and the generated gRPC contracts.
//!
//! No I/O here. A job kind is a struct with a kind, a version and a queue; a version that ever shipped
//! stays readable (`tests/golden`).

pub mod bell;
pub mod fault;
pub mod jobs;

/// Generated from `proto/syncline/graph/v1`.
pub mod graph {
    /// Version 1 of the Graph contract.
    #[expect(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code; documented in the proto file"
    )]
    pub mod v1 {
        include!("gen/syncline.graph.v1.rs");
    }
}

/// Generated from `proto/syncline/gcal/v1/gcal.proto`.
pub mod gcal {
    /// Version 1 of the Google Calendar contract.
    #[expect(
        missing_docs,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code; documented in the proto file"
    )]
    pub mod v1 {
        include!("gen/syncline.gcal.v1.rs");
    }
}
