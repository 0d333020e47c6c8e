//! The control side of subscriptions: lifecycle events, silent removal, signing keys.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Control, Refusal};
use crate::microsoft::notify;

pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/microsoft/lifecycle", post(lifecycle))
        .route("/microsoft/subscriptions/remove", post(remove))
        .route("/microsoft/signing-keys/rotate", post(rotate))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Event {
    ReauthorizationRequired,
    SubscriptionRemoved,
    Missed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifecycle {
    subscription: String,
    event: Event,
}

fn unknown(id: &str) -> Refusal {
    Refusal::missing(format!("there is no subscription {id}"))
}

/// `reauthorizationRequired` loses deliveries until it is answered; `subscriptionRemoved` removes first.
/// Resources that get no such event in the service are not spared: who asks knows why.
async fn lifecycle(
    State(control): State<Control>,
    Json(asked): Json<Lifecycle>,
) -> Result<Json<Value>, Refusal> {
    let all = &control.world.subscriptions;
    let known = all.get(&asked.subscription).ok_or_else(|| unknown(&asked.subscription))?;
    let name = match asked.event {
        Event::ReauthorizationRequired => {
            all.pause(&known.id, true);
            "reauthorizationRequired"
        }
        Event::SubscriptionRemoved => {
            all.remove(&known.id);
            "subscriptionRemoved"
        }
        Event::Missed => "missed",
    };
    let told = notify::lifecycle(&control.world, &control.deliveries, known, name);
    Ok(Json(json!({"event": name, "told": told})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    subscription: String,
}

/// Without a word to anybody (graph-docs 13872).
async fn remove(State(control): State<Control>, Json(asked): Json<Remove>) -> Result<StatusCode, Refusal> {
    if control.world.subscriptions.remove(&asked.subscription) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown(&asked.subscription))
    }
}

/// Another key signs from now on; the one before stays published.
async fn rotate(State(control): State<Control>) -> Json<Value> {
    control.world.signing.rotate();
    Json(control.world.signing.jwks())
}
