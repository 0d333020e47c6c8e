//! Connecting calendars: the grant is sealed and stored, the calendar's row made or taken up again, and its first
//! jobs enqueued, in one transaction.

use chrono::{DateTime, Utc};
use contracts::fault::refused;
use contracts::gcal::v1::{ConnectCalendarReply, ConnectCalendarRequest};
use contracts::graph::v1::FaultKind;
use contracts::jobs::{PullCalendar, Trigger, WatchCalendar, calendar_resource};
use domain::ids::CompanyId;
use domain::time::after;
use gcal_client::{CalendarEntry, GcalClient, Identity, Tokens};
use outbound::vault::VaultError;
use store::calendar::accounts::{self, Consented};
use store::calendar::connections::{self, NewConnection};
use store::calendar::grants::{self, NewGrant};
use store::calendar::queue;
use store::jobs::{NewJob, enqueue};
use store::{StoreError, Tx};
use tonic::Status;
use uuid::Uuid;

use crate::consent::{calendar, direction};
use crate::convert::some;
use crate::fault::{status, status_of, store_status};
use crate::sealed::Row;
use crate::server::Connector;

/// Pages of the account's calendars that are read.
const MAX_PAGES: usize = 40;
/// A person waits.
const PRIORITY: i16 = 9;

/// A calendar that somebody wants to connect.
pub(crate) struct Wanted<'a> {
    pub user_id: &'a str,
    pub sync_direction: &'a str,
    pub entry: &'a CalendarEntry,
}

/// The vault refused: nothing that a caller can mend.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(crate) fn sealed(error: VaultError) -> Status {
    tracing::error!(%error, "the vault refused");
    status_of(FaultKind::Refused, "tokenSealed", error.to_string())
}

/// The account's calendar of this id; `primary` is its own.
pub(crate) async fn find(client: &GcalClient, calendar_id: &str) -> Result<CalendarEntry, Status> {
    let mut page_token = None;
    for _ in 0..MAX_PAGES {
        let page = client.list_calendars(page_token.as_deref()).await.map_err(|error| status(&error))?;
        let wanted = |entry: &CalendarEntry| {
            !entry.deleted && (entry.id == calendar_id || (entry.primary && calendar_id == "primary"))
        };
        if let Some(entry) = page.calendars.into_iter().find(wanted) {
            return Ok(entry);
        }
        match page.next_page_token {
            Some(token) => page_token = Some(token),
            None => break,
        }
    }
    let message =
        format!("the account has no calendar {calendar_id:?}: subscribe to it in Google Calendar first");
    Err(status_of(FaultKind::NotFound, "calendar_not_found", message))
}

/// Whether an account may do what the direction asks for.
fn check_role(entry: &CalendarEntry, sync_direction: &str) -> Result<(), Status> {
    let enough = match sync_direction {
        "from_google" => matches!(entry.access_role.as_str(), "owner" | "writer" | "reader"),
        _ => matches!(entry.access_role.as_str(), "owner" | "writer"),
    };
    if enough {
        return Ok(());
    }
    let message = format!(
        "the account is only {:?} of {:?}: connect it from_google, or ask its owner for more",
        entry.access_role, entry.id
    );
    Err(refused("calendar_read_only", message))
}

fn taken() -> Status {
    let message = "the calendar is connected already, through another account or by another organization";
    status_of(FaultKind::Duplicate, "calendar_taken", message)
}

/// The first jobs of a calendar that takes part from now on.
async fn begin_work(tx: &mut Tx, company: CompanyId, connection: Uuid, by: &str) -> Result<(), StoreError> {
    let pull = PullCalendar {
        connection_id: connection,
        trigger: Trigger::Manual,
        full: false,
        approved_removals: None,
    };
    let pull = NewJob::new(company, &pull, by)?
        .dedupe(format!("calendar.pull:{connection}"))
        .resource(calendar_resource(connection))
        .priority(PRIORITY);
    let watch = NewJob::new(company, &WatchCalendar { connection_id: connection }, by)?
        .dedupe(format!("calendar.watch:{connection}"))
        .priority(PRIORITY);
    enqueue(tx, pull).await?;
    enqueue(tx, watch).await?;
    queue::replay(tx, company, connection).await.map(drop)
}

impl Connector {
    /// Stores the grant and connects the calendar; what an earlier grant of the account left parked comes back.
    pub(crate) async fn store_grant(
        &self,
        company: CompanyId,
        tokens: &Tokens,
        identity: &Identity,
        wanted: &Wanted<'_>,
    ) -> Result<Uuid, Status> {
        check_role(wanted.entry, wanted.sync_direction)?;
        let mut tx = self.store.tenant(company).await.map_err(|error| store_status(&error))?;
        let who = Consented {
            subject: &identity.subject,
            email: identity.email.as_deref(),
            scopes: &tokens.scopes,
        };
        let account =
            accounts::lock_subject(&mut tx, company, &who).await.map_err(|error| store_status(&error))?;
        let row = Row::new(company, account.id);
        let refresh_token = match &tokens.refresh_token {
            Some(token) => token.clone(),
            // Never overwritten with nothing.
            None => self.stored_refresh(&mut tx, company, account.id, &row).await?,
        };
        let (key, wrapped) = row.new_key(&self.vault).map_err(sealed)?;
        let now = self.clock.now();
        let expires_at = after(now, tokens.life);
        let grant = NewGrant {
            key_id: &wrapped.key_id,
            data_key: &wrapped.bytes,
            refresh_token: &row.seal_refresh(&key, &refresh_token).map_err(sealed)?,
            refresh_expires_at: tokens.refresh_life.map(|life| after(now, life)),
            access_token: &row.seal_access(&key, &tokens.access_token).map_err(sealed)?,
            access_expires_at: expires_at,
            scopes: &tokens.scopes,
        };
        let written = async {
            grants::replace(&mut tx, company, account.id, &grant).await?;
            for connection in connections::revive(&mut tx, company, account.id).await? {
                begin_work(&mut tx, company, connection, wanted.user_id).await?;
            }
            let connection = connect(&mut tx, company, account.id, wanted, Some(expires_at)).await?;
            if connection.is_some() {
                tx.commit().await?;
            }
            Ok(connection)
        };
        settled(written.await)
    }

    async fn stored_refresh(
        &self,
        tx: &mut Tx,
        company: CompanyId,
        account: Uuid,
        row: &Row,
    ) -> Result<chassis::secret::Secret, Status> {
        let none = || {
            let message = "Google gave no refresh token: remove this application's access at \
                           https://myaccount.google.com/connections and connect again";
            status_of(FaultKind::Refused, "no_refresh_token", message)
        };
        let grant = grants::read(tx, company, account).await.map_err(|error| store_status(&error))?;
        let grant = grant.filter(|grant| grant.state == "active").ok_or_else(none)?;
        let key = row.key(&self.vault, &grant).map_err(sealed)?.ok_or_else(none)?;
        row.open_refresh(&key, grant.refresh_token.as_deref().ok_or_else(none)?).map_err(sealed)
    }

    pub(crate) async fn connect_another(
        &self,
        request: ConnectCalendarRequest,
    ) -> Result<ConnectCalendarReply, Status> {
        let sync_direction = direction(&request.sync_direction)?;
        let calendar_id = calendar(&request.calendar_id)?;
        let user_id = some(&request.user_id).ok_or_else(|| refused("invalidRequest", "user_id is empty"))?;
        let way = self.way(request.context.as_ref(), &request.connection_id).await?;
        let entry = find(&way.client, calendar_id).await?;
        check_role(&entry, sync_direction)?;
        let wanted = Wanted { user_id, sync_direction, entry: &entry };
        let (company, account) = (way.company, way.route.account_id);
        let written = async {
            let mut tx = self.store.tenant(company).await?;
            let connection = connect(&mut tx, company, account, &wanted, None).await?;
            if connection.is_some() {
                tx.commit().await?;
            }
            Ok(connection)
        };
        let connection_id = settled(written.await)?.to_string();
        Ok(ConnectCalendarReply { connection_id })
    }
}

async fn connect(
    tx: &mut Tx,
    company: CompanyId,
    account: Uuid,
    wanted: &Wanted<'_>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Option<Uuid>, StoreError> {
    let new = NewConnection {
        account_id: account,
        user_id: wanted.user_id,
        calendar_id: &wanted.entry.id,
        summary: some(&wanted.entry.summary),
        time_zone: some(&wanted.entry.time_zone),
        access_role: some(&wanted.entry.access_role),
        sync_direction: wanted.sync_direction,
        expires_at,
    };
    let connection = connections::connect(tx, company, &new).await?;
    if let Some(connection) = connection {
        begin_work(tx, company, connection, wanted.user_id).await?;
    }
    Ok(connection)
}

fn settled(outcome: Result<Option<Uuid>, StoreError>) -> Result<Uuid, Status> {
    match outcome {
        Ok(Some(connection)) => Ok(connection),
        Ok(None) => Err(taken()),
        Err(StoreError::Constraint { constraint, .. })
            if constraint == "google_calendar_connections_calendar_unique" =>
        {
            Err(taken())
        }
        Err(error) => Err(store_status(&error)),
    }
}
