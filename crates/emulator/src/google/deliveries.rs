//! What was delivered to push addresses, and what is held back.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::model::Message;

const REMEMBERED: usize = 10_000;

/// One attempt to deliver.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attempt {
    pub(crate) time_ms: i64,
    pub(crate) channel: String,
    pub(crate) number: u64,
    pub(crate) state: &'static str,
    /// 0 when nobody answered.
    pub(crate) status: u16,
    pub(crate) action: &'static str,
}

/// Attempts, newest last, and messages that a fault holds back.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    attempts: Mutex<VecDeque<Attempt>>,
    held: Mutex<Vec<Message>>,
}

impl Deliveries {
    pub(crate) fn note(&self, attempt: Attempt) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() == REMEMBERED {
            attempts.pop_front();
        }
        attempts.push_back(attempt);
    }

    pub(crate) fn list(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn hold(&self, message: Message) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }

    pub(crate) fn take_held(&self) -> Vec<Message> {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn clear(&self) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.take_held();
    }
}
