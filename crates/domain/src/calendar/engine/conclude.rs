//! What an answer means.

use std::time::Duration;

use serde_json::{Value, json};

use super::pull::{Pulled, Sight, take};
use super::push::Call;
use super::row::{Base, Cause, Row, Setting};
use crate::calendar::event::{Event, Side};
use crate::calendar::google::Incoming;
use crate::calendar::merge::{Owner, given_up};
use crate::calendar::quota::{ACCOUNT_REST, Problem};

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// With the event, after insert, patch and get.
    Event(Value),
    /// Without a body, after delete.
    Empty,
    /// The provider said no.
    Refused(Problem),
    /// The connection broke, time ran out, or the provider failed: it may have taken effect.
    Unknown,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing: both sides agree.
    Done,
    /// Plan again with [`super::push`].
    Again,
    /// Plan again after at least this long.
    Retry {
        /// How long.
        after: Duration,
    },
    /// Pull the calendar's changes, then plan again.
    Pull,
    /// Get a fresh access token, then plan again.
    Refresh,
    /// The account rests for this long; nothing of it is called.
    ParkAccount {
        /// How long.
        after: Duration,
    },
    /// The user has to consent again; the row stays queued.
    ParkConnection,
    /// The row waits for a person or a later edit.
    Park(Cause),
}

/// The answer of [`conclude`].
#[derive(Clone, Debug, PartialEq)]
pub struct Conclusion {
    /// What follows once the row is committed.
    pub next: Next,
    /// What the provider's state did to the row, where the answer told of it.
    pub pulled: Option<Pulled>,
}

/// How long to wait before an event that was not found is looked for again, by count of misses.
const MISSING_WAIT: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), LAST_WAIT];
const LAST_WAIT: Duration = Duration::from_secs(30);
/// The least wait after a refusal that goes away by itself; callers add growth and jitter.
const SHORT: Duration = Duration::from_secs(1);

/// Takes the answer of `call` into the row, which is the stored one *after* the call: the application may
/// have changed it meanwhile.
pub fn conclude(row: &mut Row, call: &Call, answer: Answer, setting: &Setting<'_>) -> Conclusion {
    match answer {
        Answer::Event(raw) => match setting.dialect.read(raw) {
            Ok(incoming) => seen(row, call, &incoming, setting),
            Err(_) => plain(Next::Retry { after: SHORT }),
        },
        Answer::Empty => told(row, setting, call, true),
        Answer::Unknown | Answer::Refused(Problem::Backend) => {
            if let (Some(link), false) = (&mut row.link, matches!(call, Call::Look { .. })) {
                link.look = true;
            }
            plain(Next::Retry { after: SHORT })
        }
        Answer::Refused(problem) => refused(row, call, problem, setting),
    }
}

fn plain(next: Next) -> Conclusion {
    Conclusion { next, pulled: None }
}

fn after_pull(row: &Row, pulled: Pulled) -> Conclusion {
    Conclusion { next: if row.dirty() { Next::Again } else { Next::Done }, pulled: Some(pulled) }
}

fn seen(row: &mut Row, call: &Call, incoming: &Incoming, setting: &Setting<'_>) -> Conclusion {
    let by_look = matches!(call, Call::Look { .. });
    if let Some(link) = row.link.as_mut().filter(|link| by_look && link.unmade) {
        // The series may have changed since, or the exception was made: neither is an edit of a known state.
        (link.base, link.unmade) = (None, false);
    }
    if let Some(link) = &mut row.link {
        if !by_look {
            let revision = link.sent.as_ref().map_or(row.revision, |sent| sent.revision);
            link.wrote(revision);
            link.dead = false;
        } else if link.taken && link.base.is_none() && incoming.side == Side::Gone {
            // Our very first insert met this id, deleted: an earlier life that nobody here remembers.
            row.next_life(setting);
            return plain(Next::Again);
        } else if link.base.is_none()
            && link.missing < super::MAX_MISSING
            && differs_from_series(row.copied.as_ref(), incoming)
        {
            link.missing += 1;
            return plain(Next::Pull);
        }
    }
    let unmade = row.copied.is_some()
        && row.link.as_ref().is_some_and(|link| by_look && link.base.is_none())
        && !differs_from_series(row.copied.as_ref(), incoming);
    let pulled = take(row, incoming, setting, !by_look);
    if let Some(link) = &mut row.link {
        link.unmade = unmade;
    }
    if by_look && let Some(link) = &mut row.link {
        // Whatever was sent is either in this state or did not take effect.
        link.sent = None;
        link.look = false;
        if pulled.sight == Sight::Stale {
            return Conclusion { next: Next::Retry { after: SHORT }, pulled: Some(pulled) };
        }
    }
    after_pull(row, pulled)
}

/// Whether the occurrence that the application made an exception of is not what its series says. Either
/// the series changed, or somebody else made an exception of it: the next pull tells which.
fn differs_from_series(copied: Option<&Event>, incoming: &Incoming) -> bool {
    copied.is_some_and(|copied| !incoming.side.event().is_some_and(|event| copied.equivalent(event)))
}

/// The provider's event is gone, by our delete or as it told.
fn told(row: &mut Row, setting: &Setting<'_>, call: &Call, ours: bool) -> Conclusion {
    let Some(link) = &mut row.link else { return plain(Next::Done) };
    if ours && matches!(call, Call::Delete { .. }) {
        let revision = link.sent.as_ref().map_or(row.revision, |sent| sent.revision);
        link.wrote(revision);
    }
    let answered = ours || matches!(&link.sent, Some(sent) if sent.side == Side::Gone);
    let etag = link.base.as_ref().and_then(|base| base.etag.clone());
    let updated = link.base.as_ref().and_then(|base| base.updated);
    let incoming = Incoming {
        id: link.id.clone(),
        minted: None,
        etag: None,
        updated: None,
        ical_uid: None,
        series: None,
        stamp: None,
        side: Side::Gone,
        raw: json!({ "id": link.id, "status": "cancelled" }),
    };
    let pulled = take(row, &incoming, setting, answered);
    if let Some(link) = &mut row.link {
        (link.look, link.sent) = (false, None);
    }
    if let Some(base) = row.link.as_mut().and_then(|link| link.base.as_mut()) {
        // Kept to know the deleted life again on a page that was frozen before.
        (base.etag, base.updated) = (etag, updated);
    }
    after_pull(row, pulled)
}

fn refused(row: &mut Row, call: &Call, problem: Problem, setting: &Setting<'_>) -> Conclusion {
    let undelete = matches!(call, Call::Patch { undelete: true, .. });
    match problem {
        Problem::Unauthorized => plain(Next::Refresh),
        Problem::Reauthorize => plain(Next::ParkConnection),
        Problem::RateLimited | Problem::Conflict | Problem::Backend => plain(Next::Retry { after: SHORT }),
        Problem::QuotaExceeded => plain(Next::ParkAccount { after: ACCOUNT_REST }),
        Problem::NotFound if undelete && row.place.is_none() => dead(row),
        Problem::NotFound => missing(row, call, setting),
        Problem::Deleted if undelete => dead(row),
        // A look tells when it was deleted, and by whom.
        Problem::Deleted if matches!(call, Call::Patch { .. } | Call::Insert { .. }) => look(row),
        Problem::Deleted => told(row, setting, call, false),
        // Plan again with a look: what was sent is not what is there.
        Problem::ConditionNotMet => match &mut row.link {
            // The series changed, or the exception was made meanwhile.
            Some(link) if link.unmade => {
                (link.base, link.unmade) = (None, false);
                plain(Next::Pull)
            }
            _ => look(row),
        },
        Problem::Duplicate => {
            if let Some(link) = &mut row.link {
                link.taken |= link.attempts <= 1;
            }
            if undelete { dead(row) } else { look(row) }
        }
        Problem::Forbidden { .. } | Problem::Invalid { .. } | Problem::EventType { .. } if undelete => {
            dead(row)
        }
        Problem::Forbidden { reason, message } => {
            park(row, Cause::Forbidden { message: format!("{message} ({reason})") })
        }
        Problem::EventType { message } => park(row, Cause::Refused { message }),
        Problem::Invalid { status, reason, message } => {
            park(row, Cause::Refused { message: format!("{status} {reason}: {message}") })
        }
        Problem::FullSyncRequired | Problem::UpdatedMinTooLongAgo | Problem::PushNotSupported => park(
            row,
            Cause::Refused { message: format!("an answer that does not belong to a write: {problem:?}") },
        ),
    }
}

/// The series has no occurrence at this place any more: there is nothing to except from, whatever the
/// policy says.
fn no_occurrence(row: &mut Row) -> Conclusion {
    let empty = Event::default();
    let losers = row
        .local
        .event()
        .map_or_else(Vec::new, |local| given_up(row.copied.as_ref().unwrap_or(&empty), local, Owner::App));
    let changed = row.local != Side::Gone;
    row.local = Side::Gone;
    if let Some(link) = &mut row.link {
        (link.sent, link.look, link.missing) = (None, false, 0);
        let raw = json!({ "id": link.id, "status": "cancelled" });
        link.base = Some(Base { side: Side::Gone, etag: None, updated: None, raw });
        // It says nothing, and must not outlive the absence: the series may get the place back.
        link.unmade = true;
    }
    let pulled = Pulled { sight: Sight::Fresh, changed, losers, push: false, cascade: None };
    Conclusion { next: Next::Done, pulled: Some(pulled) }
}

/// Undeleting was refused: an exception stays deleted, anything else gets a new life.
fn dead(row: &mut Row) -> Conclusion {
    if row.place.is_some() {
        return park(
            row,
            Cause::Refused { message: "the provider does not bring the occurrence back".to_owned() },
        );
    }
    if let Some(link) = &mut row.link {
        link.dead = true;
        link.sent = None;
    }
    plain(Next::Again)
}

fn look(row: &mut Row) -> Conclusion {
    if let Some(link) = &mut row.link {
        link.look = true;
    }
    plain(Next::Again)
}

fn park(row: &mut Row, cause: Cause) -> Conclusion {
    let revision = row.revision;
    if let Some(link) = &mut row.link {
        link.parked = Some((cause.clone(), revision));
    }
    plain(Next::Park(cause))
}

/// Not found. Before the first sight of an event it says that an insert has not taken effect; afterwards it is
/// believed only when it stays.
fn missing(row: &mut Row, call: &Call, setting: &Setting<'_>) -> Conclusion {
    if matches!(call, Call::Insert { .. }) {
        return park(row, Cause::CalendarGone);
    }
    let Some(link) = &mut row.link else { return plain(Next::Done) };
    link.missing += 1;
    if row.place.is_some() && (link.base.is_none() || link.unmade || link.side() == Some(&Side::Gone)) {
        // The series itself may have been deleted: the next pull tells.
        return if link.missing < super::MAX_MISSING { plain(Next::Pull) } else { no_occurrence(row) };
    }
    let wait = MISSING_WAIT.get(link.missing as usize - 1).copied();
    let lives = row.local != Side::Gone;
    match (&link.base, wait) {
        // Never seen there: made again as long as the application has it, however often an insert was in vain.
        (None, wait) if wait.is_some() || lives => {
            link.look = false;
            if link.missing >= super::MAX_MISSING || lives {
                link.sent = None;
            }
            plain(Next::Retry { after: wait.unwrap_or(LAST_WAIT) })
        }
        (Some(_), Some(after)) if link.missing < super::MAX_MISSING => plain(Next::Retry { after }),
        _ => {
            link.missing = 0;
            told(row, setting, call, false)
        }
    }
}
