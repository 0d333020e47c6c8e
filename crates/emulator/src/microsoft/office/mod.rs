//! Mail, events, Teams and the directory: from an address to an answer.

pub(crate) mod attachments;
pub(crate) mod calendar;
mod calendar_view;
pub(crate) mod control;
pub(crate) mod control_teams;
pub(crate) mod dump;
pub(crate) mod filter;
pub(crate) mod generate;
pub(crate) mod ids;
pub(crate) mod mail_delta;
pub(crate) mod mail_read;
pub(crate) mod mail_write;
pub(crate) mod mailbox;
pub(crate) mod message;
pub(crate) mod model;
pub(crate) mod permissions;
mod recurrence;
pub(crate) mod route;
pub(crate) mod segments;
pub(crate) mod switches;
pub(crate) mod teams;
pub(crate) mod teams_read;
pub(crate) mod usage;
pub(crate) mod view;
pub(crate) mod workflow;

use std::sync::{Mutex, MutexGuard, PoisonError};

use attachments::Sessions;
use model::Office;

use crate::microsoft::errors::GraphError;

/// The organisation behind its lock.
#[derive(Debug)]
pub(crate) struct Service {
    office: Mutex<Office>,
    sessions: Mutex<Sessions>,
}

impl Service {
    pub(crate) fn new(now: i64) -> Self {
        Self { office: Mutex::new(Office::new(now)), sessions: Mutex::default() }
    }

    pub(crate) fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Taken after the organisation, never before.
    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reset(&self, now: i64) {
        *self.office() = Office::new(now);
        *self.sessions() = Sessions::default();
    }
}

pub(crate) fn not_allowed() -> GraphError {
    GraphError::new(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
}
