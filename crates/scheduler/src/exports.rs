//! App writes to calendars: a push of each calendar that has some, within a second.

use contracts::jobs::{PushCalendar, calendar_resource};
use domain::ids::CompanyId;
use store::calendar::queue::{Due, due};
use store::jobs::{NewJob, enqueue_many};
use store::{Store, StoreError};

/// Calendars of one look.
const LIMIT: i64 = 1000;
/// Priority of what somebody waits for, and of what was tried before.
const PRIORITY: (i16, i16) = (9, 4);

/// Queues a push for every calendar with app writes that are due; how many calendars.
///
/// # Errors
/// As every statement; nothing is queued then.
pub async fn queue(store: &Store) -> Result<usize, StoreError> {
    let mut tx = store.dispatch().await?;
    let calendars = due(&mut tx, LIMIT).await?;
    let jobs = calendars.iter().map(push_job).collect::<Result<Vec<_>, _>>()?;
    enqueue_many(&mut tx, jobs).await?;
    tx.commit().await?;
    tracing::debug!(calendars = calendars.len(), "queued pushes of app writes");
    Ok(calendars.len())
}

fn push_job(calendar: &Due) -> Result<NewJob, StoreError> {
    let connection = calendar.connection_id;
    let payload = PushCalendar { connection_id: connection };
    Ok(NewJob::new(CompanyId(calendar.company_id), &payload, "scheduler")?
        .dedupe(format!("calendar.push:{connection}"))
        .resource(calendar_resource(connection))
        .priority(if calendar.young { PRIORITY.0 } else { PRIORITY.1 }))
}
