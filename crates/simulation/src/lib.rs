//! Simulations of the rules in `domain` under virtual time, for tests only.
//!
//! [`convergence`]: the calendar engine between people who edit both sides and a world that fails.

pub mod convergence;
