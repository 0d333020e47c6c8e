//! Calls to gcal-connector, each with a deadline.

use std::time::Duration;

use chassis::grpc::{ChannelError, TracedChannel, channel};
use contracts::gcal::v1 as proto;
use contracts::gcal::v1::gcal_connector_client::GcalConnectorClient;
use contracts::graph::v1::FaultKind;
use domain::ids::CompanyId;
use http::StatusCode;
use web::problem::{IntoProblem, Problem};

use crate::connector::{ConnectorError, within};

const NAME: &str = "gcal-connector";
/// Status must not hold an operator's page up.
const STATUS: Duration = Duration::from_secs(2);
const BEGIN: Duration = Duration::from_secs(10);
/// Code, account and calendars are asked for one after the other.
const CONSENT: Duration = Duration::from_mins(1);
/// Channels are stopped one after the other, each within seconds.
const DISCONNECT: Duration = Duration::from_mins(1);

/// The connector's client; cheap to clone.
#[derive(Debug, Clone)]
pub struct GoogleConnector {
    client: GcalConnectorClient<TracedChannel>,
}

/// The context of a call on behalf of a company.
pub(crate) fn context(company: CompanyId) -> proto::CallContext {
    proto::CallContext { company_id: company.to_string(), job_id: String::new() }
}

impl GoogleConnector {
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// [`ChannelError`] when `url` is not an address.
    pub fn new(url: &str) -> Result<Self, ChannelError> {
        Ok(Self { client: GcalConnectorClient::new(channel(url)?) })
    }

    /// Configuration, breaker, and the company's accounts.
    pub(crate) async fn status(
        &self,
        company: Option<CompanyId>,
    ) -> Result<proto::GetStatusReply, ConnectorError> {
        let request = proto::GetStatusRequest { context: company.map(context) };
        within(NAME, STATUS, self.client.clone().get_status(request)).await
    }

    pub(crate) async fn begin_consent(
        &self,
        request: proto::BeginConsentRequest,
    ) -> Result<proto::BeginConsentReply, ConnectorError> {
        within(NAME, BEGIN, self.client.clone().begin_consent(request)).await
    }

    pub(crate) async fn complete_consent(
        &self,
        request: proto::CompleteConsentRequest,
    ) -> Result<proto::CompleteConsentReply, ConnectorError> {
        within(NAME, CONSENT, self.client.clone().complete_consent(request)).await
    }

    pub(crate) async fn connect_calendar(
        &self,
        request: proto::ConnectCalendarRequest,
    ) -> Result<proto::ConnectCalendarReply, ConnectorError> {
        within(NAME, CONSENT, self.client.clone().connect_calendar(request)).await
    }

    pub(crate) async fn list_calendars(
        &self,
        request: proto::ListCalendarsRequest,
    ) -> Result<proto::ListCalendarsReply, ConnectorError> {
        within(NAME, CONSENT, self.client.clone().list_calendars(request)).await
    }

    pub(crate) async fn disconnect(
        &self,
        request: proto::DisconnectRequest,
    ) -> Result<proto::DisconnectReply, ConnectorError> {
        within(NAME, DISCONNECT, self.client.clone().disconnect(request)).await
    }
}

/// How a request about connections fails: what the caller can mend is the caller's.
pub(crate) fn problem(error: ConnectorError) -> Problem {
    let ConnectorError::Fault(fault) = &error else { return error.into_problem() };
    let status = match fault.code.as_str() {
        "session_mismatch" => StatusCode::FORBIDDEN,
        "invalidRequest" => StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_state"
        | "consent_denied"
        | "insufficient_scopes"
        | "invalid_grant"
        | "no_refresh_token"
        | "calendar_read_only" => StatusCode::BAD_REQUEST,
        "calendar_not_found" | "unknownConnection" => StatusCode::NOT_FOUND,
        "calendar_taken" => StatusCode::CONFLICT,
        "reauth_required" | "revoked" if fault.kind() == FaultKind::Credential => StatusCode::CONFLICT,
        "notConfigured" => StatusCode::SERVICE_UNAVAILABLE,
        _ => return error.into_problem(),
    };
    let code = if fault.code == "invalidRequest" { "invalid_request".to_owned() } else { fault.code.clone() };
    Problem::new(status, code, fault.message.clone())
}
