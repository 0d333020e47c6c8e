//! `/api/events`: the caller's own events. What is written here reaches the calendar by the queue that the database's
//! triggers fill.

mod body;
mod check;
mod fields;
mod occurrence;
mod read;
mod split;
mod write;

use crate::table::{Table, routes};
use domain::ids::CompanyId;
use serde::{Deserialize, Serialize};
use store::Tx;
use store::calendar::app_events::{self, AppEvent};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::problem::Problem;

use crate::error::Answer;

/// Every route.
pub fn routes<T: Table>() -> T {
    T::default()
        .routes(routes!(read::list, write::create))
        .routes(routes!(read::get, write::change, write::delete))
        .routes(routes!(occurrence::create))
        .routes(routes!(split::create))
}

/// Whom the provider mails about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SendUpdates {
    /// All guests.
    All,
    /// Guests outside of the organizer's domain.
    ExternalOnly,
    /// Nobody.
    None,
}

impl SendUpdates {
    const fn as_str(self) -> &'static str {
        match self {
            SendUpdates::All => "all",
            SendUpdates::ExternalOnly => "externalOnly",
            SendUpdates::None => "none",
        }
    }
}

/// Whom to mail.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MailQuery {
    /// `all`, `externalOnly` or `none`; absent: nobody, unless an earlier write that the provider does not have yet
    /// asked for it.
    #[serde(rename = "sendUpdates")]
    #[param(inline)]
    send_updates: Option<SendUpdates>,
}

fn unknown(id: Uuid) -> Problem {
    Problem::not_found(format!("you have no event {id}"))
}

/// A living event of the caller, locked.
async fn locked(tx: &mut Tx, company: CompanyId, id: Uuid) -> Answer<AppEvent> {
    let event = app_events::lock(tx, company, id).await?;
    Ok(event.filter(|event| event.deleted_at.is_none()).ok_or_else(|| unknown(id))?)
}
