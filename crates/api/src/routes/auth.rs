//! `GET /api/auth/health`, `GET /api/login/microsoft`

use axum::extract::State;
use chrono::{DateTime, Utc};
use contracts::graph::v1::GetStatusReply;
use domain::flags::Flag;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use web::auth::{Admin, Viewer};
use web::json::Json;

use super::micros;
use crate::actor::Actor;
use crate::error::Answer;
use crate::state::ApiState;

/// Credentials at the providers.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthHealth {
    /// `healthy`, `degraded` (permissions are missing, an account has to be connected again, or Microsoft's connector
    /// is away), `unhealthy`.
    status: &'static str,
    providers: Providers,
}

#[derive(Debug, Serialize, ToSchema)]
struct Providers {
    microsoft: ProviderAuth,
    google: GoogleAuth,
}

#[derive(Debug, Serialize, ToSchema)]
struct GoogleAuth {
    /// Null while the connector is away.
    configured: Option<bool>,
    /// Environment variables that are not set.
    missing: Vec<String>,
    /// The organization's accounts whose grant stands.
    active_accounts: i64,
    /// Those that somebody has to connect again.
    reauth_required: i64,
    error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ProviderAuth {
    /// Null while the connector is away.
    configured: Option<bool>,
    /// Environment variables that are not set.
    missing: Vec<String>,
    /// The last token request succeeded.
    authenticated: Option<bool>,
    token_expires_at: Option<DateTime<Utc>>,
    /// `current` or `next` (AZURE_CLIENT_SECRET, AZURE_CLIENT_SECRET_NEXT).
    active_secret: Option<String>,
    /// Not told by client credentials; null.
    secret_expires_at: Option<DateTime<Utc>>,
    /// Microsoft Graph permissions that the last probe found missing.
    missing_permissions: Vec<String>,
    error: Option<String>,
}

/// Per provider: configured, authenticated, token expiry, missing permissions
#[utoipa::path(get, path = "/api/auth/health", tag = "providers", responses(
    (status = 200, description = "State of the credentials", body = AuthHealth),
))]
pub async fn health(State(state): State<ApiState>, Viewer(claims): Viewer) -> Json<AuthHealth> {
    let (microsoft, google) = tokio::join!(state.connector.status(), state.google.status(Some(claims.org)));
    let google = match google {
        Ok(status) => GoogleAuth {
            configured: Some(status.configured),
            missing: status.missing,
            active_accounts: status.active_accounts,
            reauth_required: status.reauth_accounts,
            error: None,
        },
        Err(error) => GoogleAuth {
            configured: None,
            missing: Vec::new(),
            active_accounts: 0,
            reauth_required: 0,
            error: Some(error.to_string()),
        },
    };
    let (status, microsoft) = match microsoft {
        Ok(status) => (verdict(&status), provider(status)),
        Err(error) => {
            let away = ProviderAuth {
                configured: None,
                missing: Vec::new(),
                authenticated: None,
                token_expires_at: None,
                active_secret: None,
                secret_expires_at: None,
                missing_permissions: Vec::new(),
                error: Some(error.to_string()),
            };
            ("degraded", away)
        }
    };
    let status = if status == "healthy" && google.reauth_required > 0 { "degraded" } else { status };
    Json(AuthHealth { status, providers: Providers { microsoft, google } })
}

fn verdict(status: &GetStatusReply) -> &'static str {
    match (status.configured && status.authenticated, status.missing_permissions.is_empty()) {
        (true, true) => "healthy",
        (true, false) => "degraded",
        (false, _) => "unhealthy",
    }
}

fn provider(status: GetStatusReply) -> ProviderAuth {
    ProviderAuth {
        configured: Some(status.configured),
        missing: status.missing,
        authenticated: Some(status.authenticated),
        token_expires_at: micros(status.token_expires_at_us),
        active_secret: Some(status.active_secret).filter(|s| !s.is_empty()),
        secret_expires_at: None,
        missing_permissions: status.missing_permissions,
        error: Some(status.last_auth_error).filter(|e| !e.is_empty()),
    }
}

/// A fresh token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// `refreshed`
    status: &'static str,
    /// `microsoft`
    provider: &'static str,
    expires_at: Option<DateTime<Utc>>,
}

/// Forces a fresh Microsoft token
#[utoipa::path(get, path = "/api/login/microsoft", tag = "providers", responses(
    (status = 200, description = "The token was refreshed", body = Login),
    (status = 502, description = "Microsoft refused the credential", body = web::problem::ProblemBody),
    (status = 503, description = "Microsoft or the connector is away", body = web::problem::ProblemBody),
))]
pub async fn login_microsoft(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
) -> Answer<Json<Login>> {
    state.unless_switched(&claims, Flag::BreakerMicrosoft).await?;
    let expires = state.connector.refresh_token().await?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let details = json!({ "expires_at": micros(Some(expires)) });
    let reason = actor.reason(None)?;
    actor
        .record(&mut tx, company, "microsoft.login", "provider:microsoft".to_owned(), reason, details)
        .await?;
    tx.commit().await?;
    tracing::info!(user = %claims.sub, "Microsoft token refreshed on request");
    Ok(Json(Login { status: "refreshed", provider: "microsoft", expires_at: micros(Some(expires)) }))
}
