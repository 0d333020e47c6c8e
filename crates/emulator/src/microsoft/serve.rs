//! Calls to the Microsoft side: what faults do to them, and who answers.

use super::batch;
use super::delta;
use super::errors::GraphError;
use super::graph;
use super::items;
use super::office;
use super::target::DriveRef;
use super::upload;
use crate::faults::{Outcome, Verdict};
use crate::http::{Call, PageFault, Reply};
use crate::server::{Side, note};
use crate::world::World;

/// What the faults say about a call.
pub(crate) fn judge(world: &World, call: &Call) -> Verdict {
    let metered = graph::relative(&call.path).is_some();
    let location = || {
        let relative = graph::relative(&call.path).unwrap_or_default();
        let id = relative
            .trim_start_matches("/drives")
            .trim_start_matches(['/', '('])
            .trim_start_matches('\'')
            .split(['/', '\''])
            .next()
            .map(crate::http::decode)
            .unwrap_or_default();
        delta::fresh_url(&id, &call.origin)
    };
    let errors = |status| Reply::error(GraphError::of_status(status));
    world.faults.judge("microsoft", call, metered, world.clock.now(), &errors, &location)
}

/// Serves one item of a batch; faults hit it as a call of its own.
pub(crate) async fn serve_step(world: &World, mut call: Call) -> Reply {
    let verdict = judge(world, &call);
    if !verdict.delay.is_zero() {
        chassis::time::pause(verdict.delay).await;
    }
    let reply = match verdict.outcome {
        Outcome::Answer(reply) => reply,
        Outcome::AnswerAfterCommit(reply) => {
            graph::answer(world, &call).await;
            reply
        }
        // An item has no connection of its own to break.
        Outcome::ResetBefore => Reply::error(GraphError::of_status(503)),
        Outcome::ResetAfterCommit => {
            graph::answer(world, &call).await;
            Reply::error(GraphError::of_status(503))
        }
        Outcome::NextLinkLoop => {
            call.page_fault = Some(PageFault::Loop);
            graph::answer(world, &call).await
        }
        Outcome::EmptyPage => {
            call.page_fault = Some(PageFault::Empty);
            graph::answer(world, &call).await
        }
        Outcome::Proceed | Outcome::ResetMidBody | Outcome::SlowBody(_) | Outcome::MalformedJson => {
            graph::answer(world, &call).await
        }
    };
    note(world, Side::Microsoft, &call, Some(&reply), verdict.inside_window, verdict.fault, true);
    reply
}

/// Serves a call as it should be served.
pub(crate) async fn serve(world: &World, call: &mut Call) -> Reply {
    if let Some(relative) = graph::relative(&call.path) {
        let batch = relative == "/$batch";
        match world.identity.check(call, world.clock.now()) {
            Ok(account) => call.account = Some(account),
            Err(reply) => return *reply,
        }
        let (refused, headers) = office::route::metered(world, call);
        let reply = match refused {
            Some(reply) => reply,
            None if batch => batch::answer(world, call).await,
            None => graph::answer(world, call).await,
        };
        return headers.into_iter().fold(reply, |reply, (name, value)| reply.with(name, &value));
    }
    if let Some(rest) = call.path.strip_prefix("/_download/") {
        let (drive, item) = rest.split_once('/').unwrap_or((rest, ""));
        return match world.drive(&DriveRef::Id(crate::http::decode(drive))) {
            Ok(handle) => items::download(&handle.lock(), item, call, world.clock.now_ms()),
            Err(error) => error.into(),
        };
    }
    if let Some(id) = call.path.strip_prefix("/_upload/") {
        return upload::serve(world, id, call).unwrap_or_else(Reply::from);
    }
    if let Some(reply) = office::route::beside(world, call) {
        return reply;
    }
    let mut segments = call.path.trim_start_matches('/').splitn(2, '/');
    if let Some((tenant, rest)) = call.path.trim_start_matches('/').split_once('/') {
        match rest {
            "discovery/v2.0/keys" | "discovery/keys" => return Reply::json(200, &world.signing.jwks()),
            "v2.0/.well-known/openid-configuration" | ".well-known/openid-configuration" => {
                return office::route::openid(call, tenant);
            }
            _ => {}
        }
    }
    if let (Some(tenant), Some("oauth2/v2.0/token")) = (segments.next(), segments.next())
        && call.method == http::Method::POST
    {
        return world.identity.token_endpoint(tenant, call, world.clock.now());
    }
    GraphError::new(404, "NotFound", "There is nothing at this address.").into()
}
