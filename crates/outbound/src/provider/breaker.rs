//! The circuit breaker of a service, with its metric and its log lines.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use domain::breaker::{Breaker, BreakerConfig, BreakerState, Outcome, Permit, Rejected};
use domain::time::SharedClock;

/// What operators see of a breaker.
#[derive(Debug, Clone, Copy)]
pub struct BreakerStatus {
    /// 0 closed, 1 half-open, 2 open.
    pub code: u8,
    /// When the next call may pass, while open.
    pub retry_at: Option<DateTime<Utc>>,
    /// The figures in force.
    pub config: BreakerConfig,
}

/// A breaker that several calls share.
#[derive(Debug)]
pub struct ServiceBreaker {
    service: &'static str,
    clock: SharedClock,
    breaker: Mutex<Breaker>,
}

impl ServiceBreaker {
    /// A closed breaker for the named service.
    pub fn new(service: &'static str, config: BreakerConfig, clock: SharedClock) -> Self {
        let this = Self { service, clock, breaker: Mutex::new(Breaker::new(config)) };
        this.publish(0);
        this
    }

    /// Service that it guards.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// What operators see.
    pub fn status(&self) -> BreakerStatus {
        let breaker = self.lock();
        let retry_at = match breaker.state() {
            BreakerState::Open { until } => Some(until),
            BreakerState::HalfOpen { probe_expires } => Some(probe_expires),
            BreakerState::Closed { .. } => None,
        };
        BreakerStatus { code: breaker.state_code(), retry_at, config: breaker.config() }
    }

    /// Asks to make a call. A guard that is dropped without an outcome counts as abandoned.
    pub(super) fn acquire(&self) -> Result<Guard<'_>, Rejected> {
        let mut breaker = self.lock();
        let before = breaker.state_code();
        let permit = breaker.try_acquire(self.clock.now())?;
        self.report(before, &breaker);
        Ok(Guard { owner: self, permit: Some(permit) })
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, permit: Permit, outcome: Outcome) {
        let mut breaker = self.lock();
        let before = breaker.state_code();
        breaker.record(self.clock.now(), permit, outcome);
        self.report(before, &breaker);
    }

    fn report(&self, before: u8, breaker: &Breaker) {
        let (service, code) = (self.service, breaker.state_code());
        if code == before {
            return;
        }
        self.publish(code);
        match code {
            0 => tracing::info!(service, "Circuit breaker closed for {service} API"),
            1 => tracing::info!(service, "Circuit breaker half-open for {service} API: one probe"),
            _ => tracing::warn!(service, "Circuit breaker opened for {service} API"),
        }
    }

    fn publish(&self, code: u8) {
        metrics::gauge!("circuit_breaker_state", "service" => self.service).set(f64::from(code));
    }
}

/// The right to make one call.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    owner: &'a ServiceBreaker,
    permit: Option<Permit>,
}

impl Guard<'_> {
    pub fn done(mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            self.owner.record(permit, outcome);
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.owner.record(permit, Outcome::Abandoned);
        }
    }
}
