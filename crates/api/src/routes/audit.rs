//! `/api/v1/audit/organizations/{org}`

mod erasure;
mod jobs;
mod lists;
mod policies;
mod records;
mod switch;

use crate::table::{Table, routes};

/// Every route of the audit trail.
pub fn routes<T: Table>() -> T {
    T::default()
        .routes(routes!(jobs::run))
        .routes(routes!(jobs::verify))
        .routes(routes!(jobs::restore))
        .routes(routes!(lists::runs))
        .routes(routes!(lists::events))
        .routes(routes!(lists::archives))
        .routes(routes!(policies::get, policies::put))
        .routes(routes!(switch::pause))
        .routes(routes!(switch::resume))
        .routes(routes!(erasure::erase))
        .routes(routes!(erasure::list))
        .routes(routes!(records::list))
        .routes(routes!(records::proof))
        .routes(routes!(records::checkpoints))
        .routes(routes!(records::consistency))
}
