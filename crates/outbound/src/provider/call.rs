//! What the policy needs to know about one call.

use std::time::Duration;

use domain::throttle::Operation;

/// One call to a provider.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Name in metrics and logs, such as `delta`.
    pub operation: &'static str,
    /// Cost in the provider's units.
    pub cost: u32,
    /// May be repeated although the first attempt may have been carried out.
    pub idempotent: bool,
    /// Limit for the whole call, waits and attempts together.
    pub patience: Duration,
}

impl Call {
    /// Limit for a whole call unless told otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(110);

    /// A call that reads, and so may be repeated.
    pub const fn read(operation: &'static str, kind: Operation) -> Self {
        Self { operation, cost: kind.resource_units(), idempotent: true, patience: Self::PATIENCE }
    }

    /// A call that changes something; repeated only when the first attempt was certainly not carried out.
    pub const fn write(operation: &'static str) -> Self {
        let cost = Operation::Write.resource_units();
        Self { operation, cost, idempotent: false, patience: Self::PATIENCE }
    }

    /// A change that may be repeated without harm (PATCH of a value, DELETE).
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.idempotent = true;
        self
    }
}
