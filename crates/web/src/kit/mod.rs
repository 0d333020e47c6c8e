//! The layers around every router.

mod config;
mod cors;
mod errors;
mod limits;
mod observe;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

pub use config::KitConfig;
pub use observe::{METRICS, RequestIds};
pub(crate) use observe::{current_trace_id, record_caller};

use crate::auth::authenticate;
use crate::rate::RateLimiter;

/// Puts the layers around `router`, outermost first: ids, span and metrics; errors as problem
/// documents; CORS; panics as 500; the time limit; the body limit; the caller and their request
/// limit (when [`KitConfig::authenticated`]). Requests that match no route get 404 as a problem.
pub fn layers(router: Router, config: KitConfig) -> Router {
    chassis::metrics::describe(&METRICS);
    let router = match config.authenticator {
        Some(authenticator) => {
            let limiter = RateLimiter::per_minute(config.per_minute);
            router.layer(from_fn_with_state((authenticator, limiter), authenticate))
        }
        None => router,
    };
    router
        .layer(DefaultBodyLimit::max(config.body_limit))
        .layer(from_fn_with_state(config.body_limit, limits::body))
        .layer(from_fn_with_state(config.timeout, limits::time))
        .layer(CatchPanicLayer::custom(errors::panicked))
        .layer(cors::layer(&config.allowed_origins))
        .layer(from_fn(errors::as_problems))
        .layer(from_fn(observe::observe))
}
