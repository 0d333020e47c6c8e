//! `calendar.watch`: a push channel that lasts.

use async_trait::async_trait;
use contracts::jobs::WatchCalendar;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde_json::json;

use super::{Google, load, skipped};

/// Runs [`WatchCalendar`].
#[derive(Debug, Clone)]
pub struct WatchHandler {
    /// The connector.
    pub google: Google,
    /// `ENABLE_REALTIME_SYNC`.
    pub realtime: bool,
}

#[async_trait]
impl Handler for WatchHandler {
    type Payload = WatchCalendar;

    async fn run(&self, payload: WatchCalendar, job: JobContext) -> Result<Outcome, JobError> {
        if !self.realtime {
            return Ok(Outcome::Done(json!({ "skipped": "ENABLE_REALTIME_SYNC is off" })));
        }
        let Some(work) = load(&job, payload.connection_id).await? else {
            return Ok(Outcome::Done(skipped()));
        };
        let reply = self.google.watch(&job, work.calendar.connection).await?;
        Ok(Outcome::Done(json!({
            "capability": reply.capability, "channel_id": reply.channel_id,
            "expiration_ms": reply.expiration_ms, "stopped": reply.stopped, "orphaned": reply.orphaned,
        })))
    }
}
