//! The way of a call through a connection, and what its failures mean for the account behind it.

use std::time::Duration;

use contracts::fault::{busy, refused};
use contracts::gcal::v1::CallContext;
use contracts::graph::v1::FaultKind;
use domain::ids::CompanyId;
use gcal_client::{GcalClient, GcalError, GcalErrorKind};
use store::calendar::accounts;
use store::calendar::connections::{self, Route};
use tokio::sync::SemaphorePermit;
use tonic::Status;
use uuid::Uuid;

use crate::fault::{parked, status, status_of, store_status};
use crate::server::Connector;

/// How long a call waits for its turn before it is sent away.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// Everything that a call through a connection needs.
pub(crate) struct Way<'a> {
    pub company: CompanyId,
    pub connection: Uuid,
    pub route: Route,
    pub client: GcalClient,
    _turn: SemaphorePermit<'a>,
}

/// The tenant of a call.
pub(crate) fn company(context: Option<&CallContext>) -> Result<CompanyId, Status> {
    let text = context.map(|context| context.company_id.as_str()).unwrap_or_default();
    id("context.company_id", text).map(CompanyId)
}

pub(crate) fn id(name: &str, text: &str) -> Result<Uuid, Status> {
    text.parse().map_err(|_| refused("invalidRequest", format!("{name} is not a UUID, got {text:?}")))
}

impl Connector {
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, Status> {
        match chassis::time::deadline("turn", TURN_WAIT, self.turns.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// The way through an active connection.
    pub(crate) async fn way(
        &self,
        context: Option<&CallContext>,
        connection: &str,
    ) -> Result<Way<'_>, Status> {
        let (company, connection) = (company(context)?, id("connection_id", connection)?);
        let turn = self.turn().await?;
        let route = self.route(company, connection).await?;
        match route.state.as_str() {
            "active" => {}
            "gone" => return Err(status_of(FaultKind::NotFound, "calendarGone", "the calendar is gone")),
            state => {
                let reason = route.state_reason.as_deref().unwrap_or("connect the calendar again");
                return Err(status_of(
                    FaultKind::Credential,
                    state,
                    format!("the calendar is {state}: {reason}"),
                ));
            }
        }
        let client = self.clients.of(company, route.account_id, connection);
        Ok(Way { company, connection, route, client, _turn: turn })
    }

    /// As [`Connector::way`], for a write: an account that takes none answers at once.
    pub(crate) async fn write_way(
        &self,
        context: Option<&CallContext>,
        connection: &str,
    ) -> Result<Way<'_>, Status> {
        let way = self.way(context, connection).await?;
        match way.route.parked_seconds {
            Some(seconds) => Err(parked(Duration::try_from_secs_f64(seconds).unwrap_or(self.quota_park))),
            None => Ok(way),
        }
    }

    pub(crate) async fn route(&self, company: CompanyId, connection: Uuid) -> Result<Route, Status> {
        let found = async {
            let mut tx = self.store.tenant(company).await?;
            connections::route(&mut tx, company, connection).await
        };
        match found.await {
            Ok(Some(route)) => Ok(route),
            Ok(None) => {
                let message = format!("there is no calendar connection {connection}");
                Err(status_of(FaultKind::NotFound, "unknownConnection", message))
            }
            Err(error) => Err(store_status(&error)),
        }
    }

    /// Turns a call's outcome into the reply's, and notes what it says about the account.
    pub(crate) async fn settle<T>(&self, way: &Way<'_>, outcome: Result<T, GcalError>) -> Result<T, Status> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => Err(self.failed(way, error).await),
        }
    }

    async fn failed(&self, way: &Way<'_>, error: GcalError) -> Status {
        let (company, account) = (way.company, way.route.account_id);
        match error.kind {
            GcalErrorKind::QuotaExceeded => {
                let wait = self.quota_park;
                let noted = async {
                    let mut tx = self.store.tenant(company).await?;
                    accounts::park(&mut tx, company, account, wait.as_secs_f64(), &error.message).await?;
                    tx.commit().await
                };
                if let Err(error) = noted.await {
                    tracing::warn!(error = chassis::telemetry::chain(&error), "cannot park an account");
                }
                metrics::counter!("google_accounts_parked_total", "reason" => "quota").increment(1);
                tracing::warn!(%account, wait_s = wait.as_secs(), "Google's quota for the account is used up");
                let mut fault = contracts::fault::from_status(&status(&error));
                fault.retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                contracts::fault::to_status(&fault)
            }
            // A fresh token was refused as well, or the grant does not reach far enough: a person has to consent.
            GcalErrorKind::Credential | GcalErrorKind::InsufficientScopes if error.status.is_some() => {
                let (version, reason) = (way.route.grant_version, error.to_string());
                let noted = async {
                    let mut tx = self.store.tenant(company).await?;
                    accounts::require_reauth(&mut tx, company, account, version, &reason).await?;
                    tx.commit().await
                };
                if let Err(error) = noted.await {
                    tracing::warn!(
                        error = chassis::telemetry::chain(&error),
                        "cannot note a refused account"
                    );
                }
                metrics::counter!("google_accounts_parked_total", "reason" => "reauth").increment(1);
                status(&error)
            }
            _ => status(&error),
        }
    }
}
