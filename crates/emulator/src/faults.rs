//! Faults as switches: which call is hit, how often, and what happens to it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::Method;
use http::header::{HeaderName, RETRY_AFTER};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::http_date;
use crate::http::{Body, Call, Reply};
use crate::rng::SplitMix;

/// Where in a call the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResetAt {
    /// Before anything is done.
    Before,
    /// After the effect, before the answer.
    AfterCommit,
    /// In the middle of the answer.
    MidBody,
}

/// How a throttle window says when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RetryAfterForm {
    /// Whole seconds.
    #[default]
    Int,
    /// Seconds with decimals, as the documented sample `2.128`.
    Decimal,
    /// An HTTP-date.
    Date,
    /// Not at all.
    None,
}

/// What happens to deliveries of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryAction {
    /// Never sent.
    Drop,
    /// Sent twice.
    Duplicate,
    /// Sent late.
    Delay,
    /// Sent after the next one.
    Reorder,
    /// Sent with a wrong clientState, before the right one.
    Forge,
}

fn whole() -> f64 {
    1.0
}

fn late_ms() -> u64 {
    2000
}

/// The kinds of fault of the control contract.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    Status {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        #[serde(default)]
        headers: HashMap<String, String>,
    },
    Reset {
        at: ResetAt,
    },
    StatusAfterCommit {
        status: u16,
    },
    Delay {
        ms: u64,
    },
    SlowBody {
        bytes_per_second: u64,
    },
    MalformedJson {},
    NextLinkLoop {},
    EmptyPage {},
    Gate {
        every: u64,
        seconds: f64,
        #[serde(default)]
        retry_after_form: RetryAfterForm,
    },
    Notification {
        action: DeliveryAction,
        #[serde(default = "whole")]
        share: f64,
        /// How late `delay` is.
        #[serde(default = "late_ms")]
        ms: u64,
    },
}

/// The body of `POST /faults`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultSpec {
    #[serde(default = "microsoft")]
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) method: Option<String>,
    /// Regular expression over path and query, as sent.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Number of matching calls that pass first.
    #[serde(default)]
    pub(crate) after: u64,
    /// Number of calls that are hit; absent for all.
    #[serde(default)]
    pub(crate) times: Option<u64>,
    pub(crate) fault: Fault,
}

fn microsoft() -> String {
    "microsoft".into()
}

#[derive(Debug)]
struct Armed {
    id: String,
    spec: FaultSpec,
    path: Option<Regex>,
    skipped: u64,
    hits: u64,
    gate_calls: u64,
    gate_until: i64,
    dice: SplitMix,
}

impl Armed {
    fn matches(&self, method: &Method, target: &str) -> bool {
        self.spec.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && self.path.as_ref().is_none_or(|path| path.is_match(target))
    }

    /// Counts a matching call; true when it is hit.
    fn fires(&mut self) -> bool {
        if self.skipped < self.spec.after {
            self.skipped += 1;
            return false;
        }
        if self.spec.times.is_some_and(|times| self.hits >= times) {
            return false;
        }
        self.hits += 1;
        true
    }
}

/// What the server does with a call.
#[derive(Debug, Default)]
pub(crate) enum Outcome {
    /// As it should.
    #[default]
    Proceed,
    /// This answer, nothing done.
    Answer(Reply),
    /// No answer, nothing done.
    ResetBefore,
    /// Done, but no answer.
    ResetAfterCommit,
    /// Half an answer.
    ResetMidBody,
    /// Done, but this answer.
    AnswerAfterCommit(Reply),
    /// The answer, slowly.
    SlowBody(u64),
    /// The answer, cut and no longer JSON.
    MalformedJson,
    /// A page that links to itself.
    NextLinkLoop,
    /// A page without items that links on.
    EmptyPage,
}

/// The verdict over one call.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) outcome: Outcome,
    /// The call came while the caller had been told to stay away.
    pub(crate) inside_window: bool,
    pub(crate) fault: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    armed: Vec<Armed>,
    next_id: u64,
    /// Until when callers of each provider were told to stay away (milliseconds since the epoch).
    closed_until: HashMap<&'static str, i64>,
}

/// All faults of the emulator.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

impl Faults {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Arms a fault; the error says what is wrong with it.
    pub(crate) fn add(&self, spec: FaultSpec) -> Result<String, String> {
        if !matches!(spec.provider.as_str(), "microsoft" | "google") {
            return Err(format!("provider: expected microsoft or google, got {:?}", spec.provider));
        }
        let path = match &spec.path {
            Some(pattern) => Some(Regex::new(pattern).map_err(|fault| format!("path: {fault}"))?),
            None => None,
        };
        if let Fault::Gate { every: 0, .. } = spec.fault {
            return Err("fault.every: must be at least 1".into());
        }
        if let Fault::Status { status, .. } | Fault::StatusAfterCommit { status } = spec.fault
            && !(100..=999).contains(&status)
        {
            return Err(format!("fault.status: {status} is not an HTTP status"));
        }
        let mut state = self.state();
        state.next_id += 1;
        let id = format!("fault-{}", state.next_id);
        let dice = SplitMix::new(state.next_id);
        state.armed.push(Armed {
            id: id.clone(),
            spec,
            path,
            skipped: 0,
            hits: 0,
            gate_calls: 0,
            gate_until: 0,
            dice,
        });
        Ok(id)
    }

    pub(crate) fn list(&self) -> Value {
        let state = self.state();
        let items = state.armed.iter().map(|armed| {
            serde_json::json!({"id": armed.id, "spec": armed.spec, "hits": armed.hits, "skipped": armed.skipped})
        });
        serde_json::json!({"items": items.collect::<Vec<_>>()})
    }

    pub(crate) fn remove(&self, id: &str) -> bool {
        let mut state = self.state();
        let before = state.armed.len();
        state.armed.retain(|armed| armed.id != id);
        state.armed.len() != before
    }

    /// Disarms everything and forgets open windows.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.armed.clear();
        state.closed_until.clear();
    }

    /// Decides over a call to a provider. `metered` calls are those that its throttling counts; `errors` are
    /// its error answers; `location` gives a fresh enumeration URL for the drive of the call.
    pub(crate) fn judge(
        &self,
        provider: &'static str,
        call: &Call,
        metered: bool,
        now: DateTime<Utc>,
        errors: &dyn Fn(u16) -> Reply,
        location: &dyn Fn() -> String,
    ) -> Verdict {
        let mut guard = self.state();
        let state = &mut *guard;
        let now_ms = now.timestamp_millis();
        let closed_until = state.closed_until.entry(provider).or_default();
        let mut verdict = Verdict { inside_window: metered && now_ms < *closed_until, ..Verdict::default() };
        let target = call.target();
        let mut scene = Scene { now, errors, location, closed_until, metered };
        for armed in &mut state.armed {
            if armed.spec.provider != provider || !armed.matches(&call.method, &target) {
                continue;
            }
            if matches!(armed.spec.fault, Fault::Notification { .. }) {
                continue;
            }
            if matches!(verdict.outcome, Outcome::Proceed) {
                apply(armed, &mut verdict, &mut scene);
            }
        }
        verdict
    }

    /// What happens to one delivery to `url`, and by how much it is late.
    pub(crate) fn delivery(&self, provider: &str, url: &str) -> Option<(DeliveryAction, Duration)> {
        let mut state = self.state();
        for armed in &mut state.armed {
            let Fault::Notification { action, share, ms } = armed.spec.fault else { continue };
            if armed.spec.provider == provider
                && armed.matches(&Method::POST, url)
                && armed.dice.chance(share)
                && armed.fires()
            {
                return Some((action, Duration::from_millis(ms)));
            }
        }
        None
    }
}

/// What a fault needs to know of the call that it hits.
struct Scene<'a> {
    now: DateTime<Utc>,
    errors: &'a dyn Fn(u16) -> Reply,
    location: &'a dyn Fn() -> String,
    closed_until: &'a mut i64,
    metered: bool,
}

fn apply(armed: &mut Armed, verdict: &mut Verdict, scene: &mut Scene<'_>) {
    let now = scene.now;
    let now_ms = now.timestamp_millis();
    if let Fault::Gate { every, seconds, retry_after_form } = armed.spec.fault {
        let inside = now_ms < armed.gate_until;
        if !inside {
            if armed.skipped < armed.spec.after {
                armed.skipped += 1;
                return;
            }
            armed.gate_calls += 1;
            // `times` counts windows here, not calls.
            let spent = armed.spec.times.is_some_and(|times| armed.hits >= times);
            if spent || !armed.gate_calls.is_multiple_of(every) {
                return;
            }
            armed.hits += 1;
            armed.gate_until = now_ms + (seconds * 1000.0) as i64;
            *scene.closed_until = (*scene.closed_until).max(armed.gate_until);
        }
        verdict.inside_window |= inside;
        verdict.fault = Some(armed.id.clone());
        verdict.outcome =
            Outcome::Answer(throttled((scene.errors)(429), armed.gate_until, now, retry_after_form));
        return;
    }
    if !armed.fires() {
        return;
    }
    verdict.fault = Some(armed.id.clone());
    verdict.outcome = match &armed.spec.fault {
        Fault::Status { status, retry_after, body, headers } => {
            if let Some(wait) = retry_after.as_deref().and_then(|text| retry_after_ms(text, now))
                && scene.metered
                && matches!(status, 429 | 503 | 509)
            {
                *scene.closed_until = (*scene.closed_until).max(now_ms + wait);
            }
            Outcome::Answer(status_reply(*status, retry_after.as_deref(), body.as_ref(), headers, scene))
        }
        Fault::Reset { at: ResetAt::Before } => Outcome::ResetBefore,
        Fault::Reset { at: ResetAt::AfterCommit } => Outcome::ResetAfterCommit,
        Fault::Reset { at: ResetAt::MidBody } => Outcome::ResetMidBody,
        Fault::StatusAfterCommit { status } => Outcome::AnswerAfterCommit((scene.errors)(*status)),
        Fault::Delay { ms } => {
            verdict.delay += Duration::from_millis(*ms);
            Outcome::Proceed
        }
        Fault::SlowBody { bytes_per_second } => Outcome::SlowBody((*bytes_per_second).max(1)),
        Fault::MalformedJson {} => Outcome::MalformedJson,
        Fault::NextLinkLoop {} => Outcome::NextLinkLoop,
        Fault::EmptyPage {} => Outcome::EmptyPage,
        Fault::Gate { .. } | Fault::Notification { .. } => Outcome::Proceed,
    };
}

fn throttled(reply: Reply, until_ms: i64, now: DateTime<Utc>, form: RetryAfterForm) -> Reply {
    let left = (until_ms - now.timestamp_millis()).max(1);
    match form {
        RetryAfterForm::None => reply,
        RetryAfterForm::Int => reply.with(RETRY_AFTER, &((left + 999) / 1000).to_string()),
        RetryAfterForm::Decimal => reply.with(RETRY_AFTER, &format!("{}.{:03}", left / 1000, left % 1000)),
        RetryAfterForm::Date => {
            // A date has whole seconds: the next one after the end of the window.
            let end = DateTime::from_timestamp((until_ms + 999) / 1000, 0).unwrap_or(now);
            reply.with(RETRY_AFTER, &http_date(end))
        }
    }
}

fn status_reply(
    status: u16,
    retry_after: Option<&str>,
    body: Option<&Value>,
    headers: &HashMap<String, String>,
    scene: &Scene<'_>,
) -> Reply {
    let mut reply = match body {
        None => (scene.errors)(status),
        // A string body is sent as it is; an empty one gives the empty bodies seen with 404 and 503.
        Some(Value::String(text)) => {
            let mut reply = Reply::empty(status);
            reply.body = Body::Bytes(text.clone().into());
            reply
        }
        Some(value) => Reply::json(status, value),
    };
    if let Some(value) = retry_after {
        reply = reply.with(RETRY_AFTER, value);
    }
    for (name, value) in headers {
        if let Ok(name) = HeaderName::try_from(name.as_str()) {
            let value = if value.contains("{location}") {
                value.replace("{location}", &(scene.location)())
            } else {
                value.clone()
            };
            reply = reply.with(name, &value);
        }
    }
    reply
}

/// Milliseconds that a Retry-After value asks for.
fn retry_after_ms(text: &str, now: DateTime<Utc>) -> Option<i64> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as i64);
    }
    DateTime::parse_from_rfc2822(text).ok().map(|at| (at.timestamp_millis() - now.timestamp_millis()).max(0))
}
