//! What a walk does about pages that do not come.

use super::{AbortReason, Link, MAX_RESTARTS, RestartReason, Walk, WalkError, WalkRequest, WalkStep};

/// Failures of one request in a row before the walk looks for another way.
const MAX_FAILURES: u32 = 3;

/// Where in a round the walk stands.
enum Place {
    /// At the plain enumeration.
    Start,
    /// At the enumeration that a 410 named.
    Location,
    /// At the stored delta link.
    StoredLink,
    /// At a next link.
    Middle,
}

impl Walk {
    /// Takes note of a page that did not come.
    pub fn on_error(&mut self, error: WalkError) -> WalkStep {
        match error {
            WalkError::Gone { instruction, location } => self.gone(instruction, location),
            WalkError::NotFound => match self.place() {
                Place::Start => WalkStep::Abort(AbortReason::DriveNotFound),
                Place::Location => self.restart_full(RestartReason::LocationFailed),
                Place::StoredLink => self.restart_full(RestartReason::StoredLinkRefused),
                Place::Middle => self.restart_full(self.broken_round()),
            },
            WalkError::BadLink | WalkError::UntrustedLink => match self.place() {
                Place::Start => WalkStep::Abort(AbortReason::Refused),
                Place::Location => self.restart_full(RestartReason::LocationFailed),
                Place::StoredLink => self.restart_full(RestartReason::StoredLinkRefused),
                Place::Middle => self.restart_round(),
            },
            WalkError::CannotSnapshot => self.later(AbortReason::CannotSnapshot),
            WalkError::Server => match self.place() {
                Place::Location => self.restart_full(RestartReason::LocationFailed),
                Place::Middle if self.failures + 1 >= MAX_FAILURES => self.restart_round(),
                Place::Start | Place::StoredLink | Place::Middle => self.later(AbortReason::Unavailable),
            },
        }
    }

    fn place(&self) -> Place {
        match self.request {
            WalkRequest::Start => Place::Start,
            WalkRequest::StartAt { .. } => Place::Location,
            // Only the first link of a round is one that was stored.
            WalkRequest::Follow { .. } if self.pages == 0 => Place::StoredLink,
            WalkRequest::Follow { .. } => Place::Middle,
        }
    }

    fn broken_round(&self) -> RestartReason {
        RestartReason::BrokenRound { page: self.pages.saturating_add(1) }
    }

    fn gone(&mut self, instruction: Option<String>, location: Option<Link>) -> WalkStep {
        // A location that is itself gone has had its chance.
        let request = match (self.place(), location) {
            (Place::Start | Place::StoredLink | Place::Middle, Some(location)) => {
                WalkRequest::StartAt { location }
            }
            _ => WalkRequest::Start,
        };
        self.restart(RestartReason::Gone { instruction }, request, true)
    }

    /// The same round from its beginning; everything, when that has been tried.
    fn restart_round(&mut self) -> WalkStep {
        let reason = self.broken_round();
        match self.stored_link.clone() {
            Some(link) if !self.full && self.restarts == 0 => {
                self.restart(reason, WalkRequest::Follow { link }, false)
            }
            _ => self.restart_full(reason),
        }
    }

    fn restart_full(&mut self, reason: RestartReason) -> WalkStep {
        self.restart(reason, WalkRequest::Start, true)
    }

    fn restart(&mut self, reason: RestartReason, request: WalkRequest, full: bool) -> WalkStep {
        if self.restarts >= MAX_RESTARTS {
            return WalkStep::Abort(AbortReason::TooManyRestarts { last: reason });
        }
        self.restarts += 1;
        self.generation = self.generation.saturating_add(1);
        self.request = request;
        self.full = full;
        self.pages = 0;
        self.idle_pages = 0;
        self.failures = 0;
        self.seen_links.clear();
        WalkStep::Restart(reason)
    }

    fn later(&mut self, otherwise: AbortReason) -> WalkStep {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES { WalkStep::Abort(otherwise) } else { WalkStep::RetryLater }
    }
}
