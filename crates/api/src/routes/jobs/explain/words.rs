//! The reason as a sentence for the person on call: what is so, and what to do.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::explain::Reason;
use domain::redact::redact_text;
use store::explain::Explained;

use crate::routes::queue::mended_by;

pub(super) fn of(job: &Explained, reason: &Reason) -> String {
    let id = job.facts.id;
    let resource = job.resource_key.as_deref().unwrap_or("its resource");
    match reason {
        Reason::Running => "it runs".to_owned(),
        Reason::Cancelling => "it was asked to stop and does so at its next heartbeat".to_owned(),
        Reason::Ended => format!("it has ended: {}", job.facts.state),
        Reason::Dead => format!(
            "it failed for good ({}): look at /api/queue/dead-letter/{id}, mend the cause, then POST \
             /api/queue/retry/{id}",
            error(job)
        ),
        Reason::NotDue(at) => format!("it is due at {}", time(*at)),
        Reason::Scheduler(at) => format!(
            "it has been due since {} and is queued by the next beat of a scheduler: if this lasts, no scheduler runs",
            time(*at)
        ),
        Reason::RateLimited(at) => format!(
            "the provider asked for silence ({}); the next attempt is at {}. Nothing to do: less load helps, \
             more attempts do not",
            error(job),
            time(*at)
        ),
        Reason::BreakerOpen(at) => format!(
            "the circuit breaker to the provider is open after repeated failures ({}); the next attempt is at {}",
            error(job),
            time(*at)
        ),
        Reason::RetryDelay(at) => {
            format!("the last attempt failed ({}); the next one is at {}", error(job), time(*at))
        }
        Reason::Parked(why) => format!(
            "it waits for a person, because of `{why}` ({}). {}; then POST /api/queue/parked/{id}/release",
            error(job),
            mended_by(why)
        ),
        Reason::DeadlinePassed(at) => {
            format!(
                "its deadline {} has passed: the next worker that sees it makes it a dead letter",
                time(*at)
            )
        }
        Reason::ResourceBusy(by, until) => format!(
            "job {by} works on {resource}, one at a time; its lease ends at {} unless it is renewed",
            time(*until)
        ),
        Reason::BehindAnother(by) => format!("job {by} is before it in the line for {resource}"),
        Reason::TenantsTurn(ahead) => {
            format!(
                "its message waits its turn: {ahead} messages of this organization were written before it"
            )
        }
        Reason::Relay(since, 0) => format!(
            "its message has waited since {} to be published: if this lasts, look at scheduler and RabbitMQ",
            time(*since)
        ),
        Reason::Relay(since, refusals) => format!(
            "RabbitMQ has refused its message {refusals} times since {}: look at scheduler and at queue {}",
            time(*since),
            job.queue
        ),
        Reason::NoWorker(last) => format!(
            "its message was sent, but no worker of {} seems to run ({}): look at sync-worker, \
             `kubectl scale deployment/sync-worker --replicas=1`",
            job.queue,
            last.map_or_else(
                || "none has taken anything in the last ten minutes".to_owned(),
                |at| format!("none has taken anything for {} s", (job.facts.now - at).num_seconds())
            )
        ),
        Reason::Worker(ahead) => {
            format!(
                "it waits for a free worker of {}; {ahead} jobs of this organization were queued before it",
                job.queue
            )
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn error(job: &Explained) -> String {
    let message = job.last_error.as_ref().and_then(|error| error["message"].as_str());
    redact_text(message.unwrap_or("no error was stored"))
}
