//! Tasks that are accounted for, and a shutdown in two stages.

mod shutdown;
mod tasks;

pub use shutdown::Shutdown;
pub use tasks::{TaskFailure, Tasks};
