//! `/api/v1/audit/organizations/{org}`

mod jobs;
mod lists;
mod policies;
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
}
