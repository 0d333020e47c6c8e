//! `/api/queue`: what failed or waits for a person, and what to do about it.

mod body;
mod change;
mod list;
mod operation_body;
mod operations;
mod parked;
mod retry;
mod retry_all;

use crate::table::{Table, routes};
use domain::ids::{CompanyId, JobId};
use serde::Deserialize;
use store::{Tx, dead_letters, jobs};
use utoipa::ToSchema;
use uuid::Uuid;
use web::problem::Problem;

pub use parked::mended_by;

use crate::error::ApiError;

/// The routes below `/api/queue`.
pub fn routes<T: Table>() -> T {
    T::default()
        .routes(routes!(list::list))
        .routes(routes!(list::groups))
        .routes(routes!(list::get, change::put, change::delete))
        .routes(routes!(retry::retry))
        .routes(routes!(retry_all::retry_all))
        .routes(routes!(operations::list))
        .routes(routes!(operations::get))
        .routes(routes!(operations::items))
        .routes(routes!(operations::start))
        .routes(routes!(operations::cancel))
        .routes(routes!(parked::list))
        .routes(routes!(parked::release_all))
        .routes(routes!(parked::release))
}

/// The body of a request that needs none.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Why, for the audit record; the header `X-Reason` does as well.
    pub reason: Option<String>,
}

/// Why a request that needs a dead letter cannot be answered: 409 with what it is instead, or 404.
async fn not_dead(tx: &mut Tx, company: CompanyId, id: Uuid) -> ApiError {
    let job = match jobs::find(tx, company, JobId(id)).await {
        Ok(job) => job,
        Err(error) => return error.into(),
    };
    if let Some(job) = job {
        let detail = format!("the job is no dead letter: it is {}", job.state);
        return Problem::conflict("not_dead", detail).with("state", &job.state).into();
    }
    match dead_letters::find_broker(tx, company, id, 0).await {
        Ok(Some(message)) => {
            let detail = "this is a message and no job: it can be read and discarded; its job, if there is one, is \
                          rung again by itself";
            Problem::conflict("not_a_job", detail).with("job_id", message.job_id).into()
        }
        Ok(None) => Problem::not_found(format!("there is no dead letter {id}")).into(),
        Err(error) => error.into(),
    }
}
