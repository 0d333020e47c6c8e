//! Google as a person has it: the consent in a browser, and a calendar of one's own.

use anyhow::{Context as _, Result};
use outbound::Method;
use outbound::http::Response;
use serde_json::json;

use super::caller::Caller;
use super::platform::{GOOGLE_ACCOUNT, Platform};
use super::tenant::Tenant;

/// What a person does in a browser: start, consent page (which says yes), back.
///
/// # Errors
/// When a page leads nowhere.
pub async fn consent(platform: &Platform, tenant: &Tenant) -> Result<()> {
    let started = tenant.api.call(Method::GET, "/api/oauth/google/start", None).await?;
    let consent = location(&started).context("no consent page")?;
    let google = Caller::new(platform.http.clone(), &platform.google_url, None)?;
    let path = consent.strip_prefix(&platform.google_url).context("a consent page elsewhere")?;
    let agreed = google.call(Method::GET, path, None).await?;
    let back = location(&agreed).context("the consent page leads nowhere")?;
    let path = back.strip_prefix(&platform.api_url).context("a callback elsewhere")?;
    tenant.api.get(path).await.map(drop)
}

/// The Calendar API as the account itself calls it.
///
/// # Errors
/// When there is no grant.
pub async fn as_account(platform: &Platform) -> Result<Caller> {
    let asked = json!({"provider": "google", "account": GOOGLE_ACCOUNT});
    let grant = platform.control.post("/tokens", &asked).await?;
    let token = grant["access_token"].as_str().context("a grant without a token")?.to_owned();
    let base = format!("{}/calendar/v3", platform.google_url);
    Caller::new(platform.http.clone(), &base, Some(token.into()))
}

fn location(response: &Response) -> Option<String> {
    response.headers.get("location")?.to_str().ok().map(str::to_owned)
}
