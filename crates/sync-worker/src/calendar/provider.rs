//! The connector of a calendar, by its provider.

use domain::calendar::cursor::{Cursor, Request, Round};
use domain::calendar::dialect::Dialect;
use domain::calendar::engine::Call;
use job_runtime::{JobContext, JobError};
use store::calendar::rows::Stored;

use super::told::{EventPage, Told};
use super::{Google, Outlook, Work};

/// Both connectors. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Providers {
    /// Google Calendar.
    pub google: Google,
    /// Outlook.
    pub outlook: Outlook,
}

impl Providers {
    /// One page of the calendar's changes. An answer about the cursor itself is an answer.
    pub(super) async fn list(
        &self,
        job: &JobContext,
        work: &Work,
        request: Request,
    ) -> Result<EventPage, JobError> {
        match work.dialect {
            Dialect::Google => Ok(self.google.list(job, work.calendar.connection, request).await?),
            Dialect::Outlook => self.outlook.list(job, work, request).await,
        }
    }

    /// Rows that a complete enumeration is about to leave unseen, as the provider has them: a window hides what is not
    /// gone. Those that it does not find are left out.
    pub(super) async fn look_again(
        &self,
        job: &JobContext,
        work: &Work,
        page: &mut EventPage,
        unseen: &[Stored],
    ) -> Result<(), JobError> {
        match work.dialect {
            Dialect::Google => Ok(()),
            Dialect::Outlook => self.outlook.look_again(job, work, page, unseen).await,
        }
    }

    /// Carries out a call of the engine.
    pub(super) async fn perform(&self, job: &JobContext, work: &Work, call: &Call) -> Told {
        match work.dialect {
            Dialect::Google => self.google.perform(job, work.calendar.connection, call).await,
            Dialect::Outlook => self.outlook.perform(job, work, call).await,
        }
    }
}

/// Whether the cursor has to begin anew although it is good: its window is about to end.
pub(super) fn is_stale(work: &Work, cursor: &Cursor, now: chrono::DateTime<chrono::Utc>) -> bool {
    match (&cursor.round, work.dialect) {
        (Round::Incremental { token, page: None }, Dialect::Outlook) => Outlook::is_stale(token, now),
        _ => false,
    }
}
