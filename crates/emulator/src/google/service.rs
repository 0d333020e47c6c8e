//! The running service: the model and the grants behind locks, and the bell of the deliveries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::deliveries::Deliveries;
use super::model::{ErrorShape, Google};
use super::oauth::OAuth;
use crate::config::Config;

/// Everything that the Google side holds.
pub(crate) struct Service {
    model: Mutex<Google>,
    oauth: Mutex<OAuth>,
    pub(crate) bell: Notify,
    pub(crate) deliveries: Deliveries,
}

impl std::fmt::Debug for Service {
    /// Nothing of it: it is secrets and tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

fn first_state(config: &Config) -> (Google, OAuth) {
    let mut model = Google::new(config.google_switches.clone(), config.google_seed);
    for (email, zone) in &config.google_accounts {
        if let Err(error) = model.create_account(email, zone) {
            tracing::error!(%error, %email, %zone, "the account is left out");
        }
    }
    (model, OAuth::new(&config.google_apps, config.token_lifetime.as_secs() as i64))
}

impl Service {
    pub(crate) fn new(config: &Config) -> Self {
        let (model, oauth) = first_state(config);
        Self {
            model: Mutex::new(model),
            oauth: Mutex::new(oauth),
            bell: Notify::new(),
            deliveries: Deliveries::default(),
        }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Google> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn oauth(&self) -> MutexGuard<'_, OAuth> {
        self.oauth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shape(&self) -> ErrorShape {
        self.model().switches().error_shape
    }

    /// As at the start.
    pub(crate) fn reset(&self, config: &Config) {
        let (model, oauth) = first_state(config);
        *self.model() = model;
        *self.oauth() = oauth;
        self.deliveries.clear();
    }
}
