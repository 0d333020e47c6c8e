//! Why a job is not running: exactly one reason, the nearest.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::job::JobState;

/// Without a claim for this long, and with none running, a queue seems to have no worker.
const SILENCE: TimeDelta = TimeDelta::seconds(30);
/// Codes of errors that say "too much was asked".
const THROTTLES: [&str; 8] = [
    "throttled",
    "429",
    "509",
    "activityLimitReached",
    "ApplicationThrottled",
    "throttledRequest",
    "TooManyRequests",
    "connectorBusy",
];
/// Code of a call that the circuit breaker refused.
const BREAKER: &str = "circuitBreakerOpen";

/// What is known about a job and about what it needs.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The job.
    pub id: Uuid,
    /// Its state.
    pub state: JobState,
    /// When all this was true.
    pub now: DateTime<Utc>,
    /// Not before.
    pub run_at: DateTime<Utc>,
    /// Queued since.
    pub queued_at: Option<DateTime<Utc>>,
    /// Not started after.
    pub deadline: Option<DateTime<Utc>>,
    /// Somebody asked it to stop.
    pub cancel_requested: bool,
    /// Why it is parked.
    pub park_reason: Option<String>,
    /// Code of its newest error.
    pub last_code: Option<String>,
    /// The job that holds its resource now, and until when unless it is renewed.
    pub held: Option<(Uuid, DateTime<Utc>)>,
    /// The job first in line for its resource.
    pub first_in_line: Option<Uuid>,
    /// Its message waits to be published.
    pub bell: Option<Bell>,
    /// Whether any job of its queue runs now, of whatever tenant.
    pub queue_runs: bool,
    /// When a job of its queue was last seen being claimed.
    pub last_claim_at: Option<DateTime<Utc>>,
    /// Jobs of the tenant that were queued before it in the same queue.
    pub ahead: i64,
    /// The provider's circuit breaker is open, until then; `None` when closed, unknown or of no concern.
    pub breaker_until: Option<DateTime<Utc>>,
    /// The provider asked for silence until then; `None` when not, unknown or of no concern.
    pub throttled_until: Option<DateTime<Utc>>,
}

/// A message that waits in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bell {
    /// Since when.
    pub since: DateTime<Utc>,
    /// How often the broker refused or returned it.
    pub refusals: i32,
    /// Messages of the tenant that wait before it.
    pub ahead: i64,
}

/// The one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It runs.
    Running,
    /// It runs and was asked to stop.
    Cancelling,
    /// It has ended: succeeded or cancelled.
    Ended,
    /// It failed for good and waits among the dead letters.
    Dead,
    /// Its time has not come.
    NotDue(DateTime<Utc>),
    /// Its time has come; the scheduler has not queued it yet.
    Scheduler(DateTime<Utc>),
    /// The provider asked for silence.
    RateLimited(DateTime<Utc>),
    /// The circuit breaker is open.
    BreakerOpen(DateTime<Utc>),
    /// An attempt failed; the next one is due then.
    RetryDelay(DateTime<Utc>),
    /// A person must mend something.
    Parked(String),
    /// Its deadline passed before it started; the next claim makes it a dead letter.
    DeadlinePassed(DateTime<Utc>),
    /// Another job works on its resource, until then unless renewed.
    ResourceBusy(Uuid, DateTime<Utc>),
    /// Another job is before it in the line of its resource.
    BehindAnother(Uuid),
    /// Messages of the same tenant go first.
    TenantsTurn(i64),
    /// Its message has not been published, refused so many times.
    Relay(DateTime<Utc>, i32),
    /// No worker of its queue seems to run; the last claim, as far as known.
    NoWorker(Option<DateTime<Utc>>),
    /// A worker will take it when it has a free place; jobs of the tenant before it.
    Worker(i64),
}

impl Reason {
    /// The stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Reason::Running => "running",
            Reason::Cancelling => "cancelling",
            Reason::Ended => "ended",
            Reason::Dead => "dead",
            Reason::NotDue(_) => "not_due",
            Reason::Scheduler(_) => "scheduler",
            Reason::RateLimited(_) => "rate_limited",
            Reason::BreakerOpen(_) => "breaker_open",
            Reason::RetryDelay(_) => "retry_delay",
            Reason::Parked(_) => "parked",
            Reason::DeadlinePassed(_) => "deadline_passed",
            Reason::ResourceBusy(..) => "resource_busy",
            Reason::BehindAnother(_) => "behind_another",
            Reason::TenantsTurn(_) => "tenants_turn",
            Reason::Relay(..) => "relay",
            Reason::NoWorker(_) => "no_worker",
            Reason::Worker(_) => "worker",
        }
    }
}

/// Why the job is not running.
#[must_use]
pub fn explain(facts: &Facts) -> Reason {
    match facts.state {
        JobState::Running if facts.cancel_requested => Reason::Cancelling,
        JobState::Running => Reason::Running,
        JobState::Succeeded | JobState::Cancelled => Reason::Ended,
        JobState::Dead => Reason::Dead,
        JobState::Parked => {
            Reason::Parked(facts.park_reason.clone().unwrap_or_else(|| "no reason was stored".to_owned()))
        }
        JobState::Scheduled | JobState::Retrying if facts.run_at <= facts.now => {
            Reason::Scheduler(facts.run_at)
        }
        JobState::Scheduled => Reason::NotDue(facts.run_at),
        JobState::Retrying => retrying(facts),
        JobState::Queued => queued(facts),
    }
}

/// Whatever ends later: its own delay, or what the provider asked for.
fn retrying(facts: &Facts) -> Reason {
    let code = facts.last_code.as_deref().unwrap_or_default();
    let until = |other: Option<DateTime<Utc>>| other.map_or(facts.run_at, |other| other.max(facts.run_at));
    if code == BREAKER {
        return Reason::BreakerOpen(until(facts.breaker_until));
    }
    if THROTTLES.contains(&code) {
        return Reason::RateLimited(until(facts.throttled_until));
    }
    match (facts.breaker_until, facts.throttled_until) {
        (Some(open), _) if open > facts.now => Reason::BreakerOpen(until(Some(open))),
        (_, Some(window)) if window > facts.now => Reason::RateLimited(until(Some(window))),
        _ => Reason::RetryDelay(facts.run_at),
    }
}

fn queued(facts: &Facts) -> Reason {
    if let Some(deadline) = facts.deadline.filter(|deadline| *deadline < facts.now) {
        return Reason::DeadlinePassed(deadline);
    }
    if let Some((holder, until)) = facts.held.filter(|(holder, _)| *holder != facts.id) {
        return Reason::ResourceBusy(holder, until);
    }
    if let Some(first) = facts.first_in_line.filter(|first| *first != facts.id) {
        return Reason::BehindAnother(first);
    }
    if let Some(bell) = facts.bell {
        let turn = bell.refusals == 0 && bell.ahead > 0;
        return if turn { Reason::TenantsTurn(bell.ahead) } else { Reason::Relay(bell.since, bell.refusals) };
    }
    let silent = |since: Option<DateTime<Utc>>| since.is_none_or(|at| facts.now - at > SILENCE);
    if !facts.queue_runs && silent(facts.last_claim_at) && silent(facts.queued_at) {
        return Reason::NoWorker(facts.last_claim_at);
    }
    Reason::Worker(facts.ahead)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn facts(state: JobState) -> Facts {
        Facts {
            id: Uuid::from_u128(1),
            state,
            now: at(100),
            run_at: at(0),
            queued_at: Some(at(99)),
            deadline: None,
            cancel_requested: false,
            park_reason: None,
            last_code: None,
            held: None,
            first_in_line: None,
            bell: None,
            queue_runs: false,
            last_claim_at: None,
            ahead: 0,
            breaker_until: None,
            throttled_until: None,
        }
    }

    #[test]
    fn a_queued_job_names_what_is_nearest() {
        let (me, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let queued = facts(JobState::Queued);
        assert_eq!(explain(&queued), Reason::Worker(0));
        let old = Facts { queued_at: Some(at(0)), ..queued.clone() };
        assert_eq!(explain(&old), Reason::NoWorker(None));
        assert_eq!(explain(&Facts { queue_runs: true, ahead: 3, ..old.clone() }), Reason::Worker(3));
        assert_eq!(explain(&Facts { last_claim_at: Some(at(80)), ..old.clone() }), Reason::Worker(0));
        assert_eq!(
            explain(&Facts { last_claim_at: Some(at(60)), ..old.clone() }),
            Reason::NoWorker(Some(at(60)))
        );
        let bell = |refusals, ahead| Some(Bell { since: at(90), refusals, ahead });
        assert_eq!(explain(&Facts { bell: bell(0, 5), ..old.clone() }), Reason::TenantsTurn(5));
        assert_eq!(explain(&Facts { bell: bell(2, 5), ..old.clone() }), Reason::Relay(at(90), 2));
        let late = Facts { bell: bell(0, 0), ..old };
        assert_eq!(explain(&late), Reason::Relay(at(90), 0));
        let mine = Facts { first_in_line: Some(me), held: Some((me, at(110))), ..late.clone() };
        assert_eq!(explain(&mine), explain(&late));
        let behind = Facts { first_in_line: Some(other), ..late };
        assert_eq!(explain(&behind), Reason::BehindAnother(other));
        let busy = Facts { held: Some((other, at(110))), ..behind };
        assert_eq!(explain(&busy), Reason::ResourceBusy(other, at(110)));
        let expired = Facts { deadline: Some(at(99)), ..busy };
        assert_eq!(explain(&expired), Reason::DeadlinePassed(at(99)));
    }

    #[test]
    fn a_retry_names_the_window_that_it_waits_for() {
        let retry = Facts { run_at: at(130), ..facts(JobState::Retrying) };
        let of = |code: &str| Facts { last_code: Some(code.to_owned()), ..retry.clone() };
        assert_eq!(explain(&retry), Reason::RetryDelay(at(130)));
        assert_eq!(explain(&of("activityLimitReached")), Reason::RateLimited(at(130)));
        assert_eq!(explain(&of("circuitBreakerOpen")), Reason::BreakerOpen(at(130)));
        let longer = Facts { throttled_until: Some(at(200)), ..of("429") };
        assert_eq!(explain(&longer), Reason::RateLimited(at(200)));
        let open = Facts { breaker_until: Some(at(120)), ..of("transport") };
        assert_eq!(explain(&open), Reason::BreakerOpen(at(130)));
        assert_eq!(
            explain(&Facts { breaker_until: Some(at(50)), ..of("transport") }),
            Reason::RetryDelay(at(130))
        );
        assert_eq!(explain(&Facts { now: at(131), ..of("429") }), Reason::Scheduler(at(130)));
    }

    proptest! {
        #[test]
        fn every_state_has_a_reason_of_its_own(
            index in 0..JobState::ALL.len(), numbers in prop::array::uniform8(0_i64..300), flags in any::<u16>(),
        ) {
            let state = JobState::ALL[index];
            let some = |bit: u16, number: i64| (flags & (1 << bit) != 0).then(|| at(number));
            let facts = Facts {
                now: at(numbers[0]),
                run_at: at(numbers[1]),
                queued_at: some(0, numbers[2]),
                deadline: some(1, numbers[3]),
                cancel_requested: flags & 4 != 0,
                held: some(3, numbers[4]).map(|until| (Uuid::from_u128(2), until)),
                first_in_line: some(4, 0).map(|_| Uuid::from_u128(3)),
                bell: some(5, numbers[5]).map(|since| Bell { since, refusals: i32::from(flags & 64 != 0), ahead: 1 }),
                breaker_until: some(7, numbers[6]),
                throttled_until: some(8, numbers[7]),
                ..facts(state)
            };
            let reason = explain(&facts);
            let allowed: &[&str] = match state {
                JobState::Running => &["running", "cancelling"],
                JobState::Succeeded | JobState::Cancelled => &["ended"],
                JobState::Dead => &["dead"],
                JobState::Parked => &["parked"],
                JobState::Scheduled => &["not_due", "scheduler"],
                JobState::Retrying => &["retry_delay", "rate_limited", "breaker_open", "scheduler"],
                JobState::Queued => &[
                    "deadline_passed", "resource_busy", "behind_another", "tenants_turn", "relay", "no_worker", "worker",
                ],
            };
            prop_assert!(allowed.contains(&reason.name()), "{:?}: {:?}", state, reason);
        }
    }
}
