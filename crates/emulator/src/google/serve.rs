//! Calls to the Google side: what faults do to them, and who answers.

use std::sync::Arc;

use http::Method;

use super::model::ApiError;
use super::{batch, consent, routes, token, ui};
use crate::faults::{Outcome, Verdict};
use crate::http::{Call, PageFault, Reply};
use crate::server::{Side, note};
use crate::world::World;

/// The page and its calls are no calls to the provider: no fault hits them, no ledger counts them.
pub(crate) fn by_hand(path: &str) -> bool {
    path == "/" || path.starts_with("/ui/")
}

/// What the faults say about a call.
pub(crate) fn judge(world: &World, call: &Call) -> Verdict {
    if by_hand(&call.path) {
        return Verdict::default();
    }
    let metered = call.path.starts_with(routes::BASE);
    let shape = world.google.shape();
    let errors = |status| {
        let error = ApiError::of_status(status);
        Reply::json(status, &error.body(shape))
            .with(http::header::CONTENT_TYPE, "application/json; charset=UTF-8")
    };
    let location = || call.origin.clone();
    world.faults.judge("google", call, metered, world.clock.now(), &errors, &location)
}

/// Serves a call as it should be served.
pub(crate) async fn serve(world: &Arc<World>, call: &mut Call) -> Reply {
    let post = call.method == Method::POST;
    match call.path.as_str() {
        "/o/oauth2/v2/auth" | "/o/oauth2/auth" => consent::answer(world, call),
        "/token" | "/oauth2/v4/token" if post => token::token(world, call),
        "/revoke" | "/o/oauth2/revoke" if post => token::revoke(world, call),
        "/tokeninfo" | "/oauth2/v3/tokeninfo" => token::info(world, call),
        "/oauth2/v3/userinfo" | "/v1/userinfo" => token::user(world, call),
        "/batch/calendar/v3" | "/batch" if post => batch::answer(world, call).await,
        path if path.starts_with(routes::BASE) => routes::answer(world, call).await,
        path if by_hand(path) => ui::answer(world, call),
        _ => routes::refuse(world, &ApiError::not_found()),
    }
}

/// Serves one part of a batch; faults hit it as a call of its own.
pub(crate) async fn serve_part(world: &Arc<World>, mut call: Call) -> Reply {
    let verdict = judge(world, &call);
    if !verdict.delay.is_zero() {
        chassis::time::pause(verdict.delay).await;
    }
    let broken = || routes::refuse(world, &ApiError::of_status(503));
    let reply = match verdict.outcome {
        Outcome::Answer(reply) => reply,
        Outcome::AnswerAfterCommit(reply) => {
            routes::answer(world, &mut call).await;
            reply
        }
        // A part has no connection of its own to break.
        Outcome::ResetBefore => broken(),
        Outcome::ResetAfterCommit => {
            routes::answer(world, &mut call).await;
            broken()
        }
        Outcome::NextLinkLoop => {
            call.page_fault = Some(PageFault::Loop);
            routes::answer(world, &mut call).await
        }
        Outcome::EmptyPage => {
            call.page_fault = Some(PageFault::Empty);
            routes::answer(world, &mut call).await
        }
        Outcome::Proceed | Outcome::ResetMidBody | Outcome::SlowBody(_) | Outcome::MalformedJson => {
            routes::answer(world, &mut call).await
        }
    };
    note(world, Side::Google, &call, Some(&reply), verdict.inside_window, verdict.fault, true);
    reply
}
