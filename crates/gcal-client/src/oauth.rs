//! Google OAuth 2.0 for web servers, with PKCE on top of the client secret (provider facts A8).

mod answer;
mod pkce;
mod scopes;

use std::sync::Arc;
use std::time::Duration;

use chassis::config::SecretSource;
use chassis::secret::Secret;
use outbound::http::{HttpClient, HttpError, Request, Response};
use outbound::token::TokenError;
use outbound::{Method, Url};

pub use answer::{Identity, Tokens};
pub use pkce::Pkce;
pub use scopes::missing_scopes;

use scopes::SCOPES;

/// Limit of one exchange with the identity provider.
const DEADLINE: Duration = Duration::from_secs(20);

/// Google's addresses, or a stand-in's.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Where people consent.
    pub authorize: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token: Url,
    /// Where grants end.
    pub revoke: Url,
    /// Where an access token tells whose it is.
    pub tokeninfo: Url,
}

/// A consent to ask for.
#[derive(Debug, Clone)]
pub struct Authorize<'a> {
    /// One-time state.
    pub state: &'a str,
    /// S256 of the verifier.
    pub challenge: &'a str,
    /// Account that the person is expected to choose.
    pub login_hint: Option<&'a str>,
}

/// The OAuth client of this application.
#[derive(Debug)]
pub struct GoogleOAuth {
    http: Arc<HttpClient>,
    endpoints: Endpoints,
    client_id: Option<String>,
    secret: Option<SecretSource>,
    redirect: Option<Url>,
}

impl GoogleOAuth {
    /// A client that has asked for nothing yet.
    pub fn new(
        http: Arc<HttpClient>,
        endpoints: Endpoints,
        client_id: Option<String>,
        secret: Option<SecretSource>,
        redirect: Option<Url>,
    ) -> Self {
        Self { http, endpoints, client_id, secret, redirect }
    }

    /// Names of the variables that are missing; empty when a consent can be asked for.
    pub fn missing(&self) -> Vec<String> {
        let unset = [
            ("GOOGLE_CLIENT_ID", self.client_id.is_none()),
            ("GOOGLE_CLIENT_SECRET", self.secret.is_none()),
            ("GOOGLE_REDIRECT_URI", self.redirect.is_none()),
        ];
        unset.into_iter().filter(|(_, unset)| *unset).map(|(name, _)| name.to_owned()).collect()
    }

    /// The client's id; empty when not configured.
    pub fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }

    /// Where to send the person: offline access, consent asked again so that a returning account yields a refresh
    /// token, PKCE with S256.
    ///
    /// # Errors
    /// [`TokenError::NotConfigured`].
    pub fn authorize_url(&self, ask: &Authorize<'_>) -> Result<Url, TokenError> {
        let (client_id, _, redirect) = self.configured()?;
        let mut url = self.endpoints.authorize.clone();
        url.query_pairs_mut()
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", redirect.as_str())
            .append_pair("response_type", "code")
            .append_pair("scope", &SCOPES.join(" "))
            .append_pair("access_type", "offline")
            .append_pair("prompt", "consent")
            .append_pair("include_granted_scopes", "true")
            .append_pair("state", ask.state)
            .append_pair("code_challenge", ask.challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(hint) = ask.login_hint {
            url.query_pairs_mut().append_pair("login_hint", hint);
        }
        Ok(url)
    }

    /// Exchanges an authorization code.
    ///
    /// # Errors
    /// [`TokenError::GrantEnded`] (`invalid_grant`) when the code is used up, too old, or not of this verifier.
    pub async fn exchange(&self, code: &str, verifier: &str) -> Result<Tokens, TokenError> {
        let (client_id, secret, redirect) = self.configured()?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("client_id", client_id),
            ("client_secret", secret.expose()),
            ("redirect_uri", redirect.as_str()),
        ];
        let response = self.post("token_exchange", &self.endpoints.token, &fields).await?;
        answer::tokens(&response)
    }

    /// A new access token. The refresh token stays as it is.
    ///
    /// # Errors
    /// [`TokenError::GrantEnded`] when the grant was revoked or expired.
    pub async fn refresh(&self, refresh_token: &Secret) -> Result<Tokens, TokenError> {
        let (client_id, secret, _) = self.configured()?;
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
            ("client_id", client_id),
            ("client_secret", secret.expose()),
        ];
        let response = self.post("token_refresh", &self.endpoints.token, &fields).await?;
        answer::tokens(&response)
    }

    /// Ends a grant by either of its tokens; one that ended before is a success.
    ///
    /// # Errors
    /// [`TokenError`] when Google did not confirm it.
    pub async fn revoke(&self, token: &Secret) -> Result<(), TokenError> {
        let fields = [("token", token.expose())];
        let response = self.post("token_revoke", &self.endpoints.revoke, &fields).await?;
        answer::revoked(&response)
    }

    /// Whose an access token is.
    ///
    /// # Errors
    /// [`TokenError`] when Google does not say.
    pub async fn identity(&self, access_token: &Secret) -> Result<Identity, TokenError> {
        let fields = [("access_token", access_token.expose())];
        let response = self.post("token_info", &self.endpoints.tokeninfo, &fields).await?;
        answer::identity(&response)
    }

    fn configured(&self) -> Result<(&str, Secret, &Url), TokenError> {
        let missing = || TokenError::NotConfigured { missing: self.missing() };
        let client_id = self.client_id.as_deref().ok_or_else(missing)?;
        let secret = self.secret.as_ref().ok_or_else(missing)?.current();
        Ok((client_id, secret, self.redirect.as_ref().ok_or_else(missing)?))
    }

    async fn post(
        &self,
        operation: &'static str,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<Response, TokenError> {
        let request = Request::new(Method::POST, url.clone()).form(fields).deadline(DEADLINE);
        let outcome = self.http.send(request).await;
        let status = match &outcome {
            Ok(response) => response.status.as_str().to_owned(),
            Err(HttpError::Timeout { .. }) => "timeout".to_owned(),
            Err(_) => "transport".to_owned(),
        };
        metrics::counter!("google_requests_total", "operation" => operation, "status" => status).increment(1);
        outcome.map_err(|error| TokenError::Unavailable { reason: error.to_string() })
    }
}
