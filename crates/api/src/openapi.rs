//! The router and its description, from one list of routes.

mod tidy;

use axum::Router;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use web::kit::{KitConfig, layers};
use web::problem::ProblemBody;

use crate::routes;
use crate::state::ApiState;

/// The committed document, which a test compares with [`document`]: making it again at each start left its trees in
/// the process's memory.
const DESCRIPTION: &str = include_str!("../../../docs/openapi.json");

/// Paths that need no token.
const OPEN: [&str; 3] = ["/health", "/api/health", "/api/oauth/google/callback"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Syncline",
        version = "1",
        description = "Synchronisation of an organization's database with its cloud accounts.",
        license(name = "Apache-2.0")
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "health", description = "Is it alive, and what ails it"),
        (name = "sync", description = "Start, watch and configure synchronisation"),
        (name = "schedules", description = "What runs when, what ran, and what did not and why"),
        (name = "jobs", description = "The job ledger"),
        (name = "queue", description = "Dead letters, parked jobs, and retries of many"),
        (name = "repair", description = "What needs a person: quarantine, parked runs, lasting failures"),
        (name = "data", description = "AOs, documents, drives"),
        (name = "messages", description = "Mail and Teams: what is read, what was read, what is sent"),
        (name = "providers", description = "Credentials, subscriptions, caches"),
        (name = "flags", description = "Operators' switches"),
        (name = "audit", description = "The audit trail: verification, retention, archives"),
        (name = "metrics", description = "Figures"),
    )
)]
struct Description;

/// The API with the layers of the kit around it.
pub fn router(state: ApiState, kit: KitConfig) -> Router {
    let served = async || ([(CONTENT_TYPE, "application/json")], DESCRIPTION);
    let router = routes::all::<Router<ApiState>>()
        .route("/openapi.json", axum::routing::get(served))
        .with_state(state);
    layers(router, kit)
}

/// The OpenAPI 3.1 document, as it is committed in `docs/openapi.json`.
///
/// # Panics
/// Never: the description is plain data.
pub fn document() -> Value {
    let (_, mut api) =
        OpenApiRouter::with_openapi(Description::openapi()).merge(routes::all()).split_for_parts();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    api.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    let mut document = serde_json::to_value(&api).expect("the description is plain data");
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flatten().map(|(_, operation)| operation) {
            let open = OPEN.contains(&path.as_str());
            operation["security"] = if open { json!([]) } else { json!([{ "bearer": [] }]) };
            operation["responses"]["default"] = json!({
                "description": "A problem document (RFC 9457); `code` says which.",
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/ProblemBody" }
                } }
            });
        }
    }
    tidy::tidy(&mut document);
    document
}
