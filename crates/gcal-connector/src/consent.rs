//! The consent: begun with a one-time state bound to the asking session and a PKCE verifier that stays here, ended
//! by exchanging the code.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::ids::random_bytes;
use contracts::fault::refused;
use contracts::gcal::v1::{
    BeginConsentReply, BeginConsentRequest, CompleteConsentReply, CompleteConsentRequest,
};
use contracts::graph::v1::FaultKind;
use domain::ids::CompanyId;
use gcal_client::{Authorize, Identity, Pkce, Tokens, missing_scopes};
use outbound::token::TokenError;
use outbound::vault::Binding;
use sha2::{Digest, Sha256};
use store::calendar::consents::{self, Consent, NewConsent};
use subtle::ConstantTimeEq;
use tonic::Status;
use uuid::Uuid;

use crate::connect::{self, Wanted};
use crate::convert::some;
use crate::fault::{status_of, store_status, token_status};
use crate::outcome::company;
use crate::server::Connector;

/// How long a person may take.
const LIFE_SECONDS: f64 = 600.0;
const DIGEST: usize = 32;
const VERIFIER: &str = "oauth_states.verifier";
/// Longest calendar id that is taken; Google's are e-mail addresses.
const MAX_CALENDAR: usize = 1_024;

/// `{company}{random}`: the callback has no token, so the state itself says whose it is. The company alone opens
/// nothing.
fn state_of(company: CompanyId) -> String {
    let mut bytes = company.uuid().as_bytes().to_vec();
    bytes.extend(random_bytes::<32>());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn company_of(state: &str) -> Option<CompanyId> {
    let bytes = URL_SAFE_NO_PAD.decode(state).ok()?;
    let (company, random) = bytes.split_first_chunk::<16>()?;
    (random.len() == 32).then(|| CompanyId(Uuid::from_bytes(*company)))
}

pub(crate) fn direction(text: &str) -> Result<&str, Status> {
    match text {
        "" => Ok("both"),
        "both" | "to_google" | "from_google" => Ok(text),
        other => {
            let message = format!("sync_direction is both, to_google or from_google, got {other:?}");
            Err(refused("invalidRequest", message))
        }
    }
}

pub(crate) fn calendar(text: &str) -> Result<&str, Status> {
    if text.len() > MAX_CALENDAR || text.chars().any(char::is_control) {
        let message = format!("calendar_id has at most {MAX_CALENDAR} bytes and no control characters");
        return Err(refused("invalidRequest", message));
    }
    Ok(some(text).unwrap_or("primary"))
}

fn unknown_state() -> Status {
    let message = "the consent is unknown, too old, or was used before: begin a new one";
    status_of(FaultKind::Refused, "invalid_state", message)
}

impl Connector {
    pub(crate) async fn begin(&self, request: BeginConsentRequest) -> Result<BeginConsentReply, Status> {
        let company = company(request.context.as_ref())?;
        let (calendar_id, sync_direction) =
            (calendar(&request.calendar_id)?, direction(&request.sync_direction)?);
        if request.session_sha256.len() != DIGEST || request.user_id.is_empty() {
            let message = "user_id and the SHA-256 of the session's secret are needed";
            return Err(refused("invalidRequest", message));
        }
        let (state, pkce) = (state_of(company), Pkce::new(random_bytes()));
        let url = self.oauth.authorize_url(&Authorize {
            state: &state,
            challenge: &pkce.challenge,
            login_hint: some(&request.login_hint),
        });
        let url = url.map_err(|error| token_status("begin_consent", error))?;
        let digest = Sha256::digest(state.as_bytes());
        let binding = Binding { purpose: VERIFIER, company, row: &hex::encode(digest) };
        let verifier =
            self.vault.seal(&binding, pkce.verifier.expose().as_bytes()).map_err(connect::sealed)?;
        let new = NewConsent {
            state_sha256: &digest,
            user_id: &request.user_id,
            session_sha256: &request.session_sha256,
            verifier: &verifier,
            calendar_id,
            sync_direction,
            seconds: LIFE_SECONDS,
        };
        let written = async {
            let mut tx = self.store.tenant(company).await?;
            let expires_at = consents::begin(&mut tx, company, &new).await?;
            tx.commit().await?;
            Ok(expires_at)
        };
        let expires_at = written.await.map_err(|error| store_status(&error))?;
        Ok(BeginConsentReply {
            authorization_url: url.to_string(),
            expires_at_us: expires_at.timestamp_micros(),
        })
    }

    pub(crate) async fn complete(
        &self,
        request: CompleteConsentRequest,
    ) -> Result<CompleteConsentReply, Status> {
        let company = company_of(&request.state).ok_or_else(unknown_state)?;
        let digest = Sha256::digest(request.state.as_bytes());
        // Used up first, whatever comes of it.
        let consumed = async {
            let mut tx = self.store.tenant(company).await?;
            let consent = consents::consume(&mut tx, company, &digest).await?;
            tx.commit().await?;
            Ok(consent)
        };
        let consent = consumed.await.map_err(|error| store_status(&error))?.ok_or_else(unknown_state)?;
        check_session(company, &consent, &request)?;
        if !request.error.is_empty() || request.code.is_empty() {
            let error = some(&request.error).unwrap_or("no code");
            let message = format!("the consent was not given ({error})");
            return Err(status_of(FaultKind::Refused, "consent_denied", message));
        }
        let binding = Binding { purpose: VERIFIER, company, row: &hex::encode(digest) };
        let verifier = self.vault.open(&binding, &consent.verifier).map_err(connect::sealed)?;
        let verifier = std::str::from_utf8(&verifier).map_err(|_| unknown_state())?;
        let tokens = match self.oauth.exchange(&request.code, verifier).await {
            Ok(tokens) => tokens,
            // Of a code, not of a grant.
            Err(TokenError::GrantEnded { code, message }) => {
                let message = format!("Google refused the code ({message}): begin a new consent");
                return Err(status_of(FaultKind::Refused, &code, message));
            }
            Err(error) => return Err(token_status("token_exchange", error)),
        };
        let missing = missing_scopes(&tokens.scopes);
        if !missing.is_empty() {
            let message =
                format!("the consent left out {}: begin again and leave them ticked", missing.join(", "));
            return Err(status_of(FaultKind::Refused, "insufficient_scopes", message));
        }
        let identity = self.whose(&tokens).await?;
        let client = self.clients.fresh(tokens.access_token.clone());
        let entry = connect::find(&client, &consent.calendar_id).await?;
        let wanted =
            Wanted { user_id: &consent.user_id, sync_direction: &consent.sync_direction, entry: &entry };
        let connection = self.store_grant(company, &tokens, &identity, &wanted).await?;
        tracing::info!(%company, %connection, calendar = entry.id, "calendar connected");
        Ok(CompleteConsentReply {
            connection_id: connection.to_string(),
            account: identity.email.unwrap_or(identity.subject),
            calendar_id: entry.id,
            sync_direction: consent.sync_direction,
            company_id: company.to_string(),
        })
    }

    /// Whose tokens they are: as the answer itself says, else as tokeninfo says.
    async fn whose(&self, tokens: &Tokens) -> Result<Identity, Status> {
        if let Some(identity) = &tokens.identity {
            return Ok(identity.clone());
        }
        let found = self.oauth.identity(&tokens.access_token).await;
        found.map_err(|error| token_status("token_info", error))
    }
}

/// The session that asked is the one that comes back: it shows its secret, or an authenticated caller is the same
/// user.
fn check_session(
    company: CompanyId,
    consent: &Consent,
    request: &CompleteConsentRequest,
) -> Result<(), Status> {
    let secret = !request.session_sha256.is_empty()
        && bool::from(request.session_sha256.ct_eq(&consent.session_sha256));
    let caller = !request.user_id.is_empty()
        && request.user_id == consent.user_id
        && request.company_id == company.to_string();
    if secret || caller {
        return Ok(());
    }
    let message = "the consent was begun in another session: begin it where you end it";
    Err(status_of(FaultKind::Refused, "session_mismatch", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_names_its_company_and_nothing_else_does() {
        let company = CompanyId(Uuid::from_u128(42));
        let state = state_of(company);
        assert_eq!(company_of(&state), Some(company));
        assert_ne!(state, state_of(company));
        assert_eq!(company_of(&state[1..]), None);
        assert_eq!(company_of(""), None);
        assert_eq!(company_of("ä"), None);
    }
}
