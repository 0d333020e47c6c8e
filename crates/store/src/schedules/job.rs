//! The job that an occurrence enqueues.

use contracts::jobs::{
    CleanExpiredChannels, CleanQueue, JobPayload, PayloadError, PurgeFinished, PushCalendars, RenewChannels,
    RunRetention, SweepCalendars, SweepDrives, SweepMessages, VerifyAudit,
};

use super::Schedule;
use crate::error::Result;
use crate::jobs::NewJob;

/// The job of a schedule, its payload read as its type; the inner error says why there can be none.
///
/// # Errors
/// When the payload cannot be written back.
pub fn job_of(schedule: &Schedule, requested_by: &str) -> Result<std::result::Result<NewJob, PayloadError>> {
    match schedule.command.as_str() {
        SweepDrives::KIND => typed::<SweepDrives>(schedule, requested_by),
        PurgeFinished::KIND => typed::<PurgeFinished>(schedule, requested_by),
        CleanQueue::KIND => typed::<CleanQueue>(schedule, requested_by),
        RenewChannels::KIND => typed::<RenewChannels>(schedule, requested_by),
        CleanExpiredChannels::KIND => typed::<CleanExpiredChannels>(schedule, requested_by),
        SweepCalendars::KIND => typed::<SweepCalendars>(schedule, requested_by),
        PushCalendars::KIND => typed::<PushCalendars>(schedule, requested_by),
        SweepMessages::KIND => typed::<SweepMessages>(schedule, requested_by),
        RunRetention::KIND => typed::<RunRetention>(schedule, requested_by),
        VerifyAudit::KIND => typed::<VerifyAudit>(schedule, requested_by),
        other => Ok(Err(PayloadError::UnknownKind { kind: other.to_owned() })),
    }
}

fn typed<P: JobPayload>(
    schedule: &Schedule,
    requested_by: &str,
) -> Result<std::result::Result<NewJob, PayloadError>> {
    match P::decode(P::VERSION, schedule.payload.clone()) {
        Ok(payload) => NewJob::new(schedule.company, &payload, requested_by).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}
