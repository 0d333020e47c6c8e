//! Configuration from the environment: read once, every fault reported, secrets reloadable.

mod env;
mod fault;
mod secret_source;

pub use env::Env;
pub use fault::{ConfigFaults, Fault};
pub use secret_source::SecretSource;

/// A validated section of the configuration.
pub trait FromEnv: Sized {
    /// Reads the section. A fault is recorded in `env` and a placeholder returned, so that one
    /// start reports every fault; [`Env::finish`] says whether the result may be used.
    fn from_env(env: &mut Env) -> Self;
}

impl FromEnv for () {
    fn from_env(_env: &mut Env) -> Self {}
}

impl<A: FromEnv, B: FromEnv> FromEnv for (A, B) {
    fn from_env(env: &mut Env) -> Self {
        (A::from_env(env), B::from_env(env))
    }
}
