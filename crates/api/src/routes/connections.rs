//! `/api/connections`

mod outlook;

use crate::table::{Table, routes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::gcal::v1::{ConnectCalendarRequest, DisconnectRequest, ListCalendarsRequest};
use domain::flags::Flag;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::calendar::connections::{self, Connection};
use utoipa::ToSchema;
use uuid::Uuid;
use web::auth::Admin;
use web::json::Json;
use web::page::{Page, PageQuery};
use web::path::Path;
use web::problem::{FieldError, Problem};
use web::query::Query;

use crate::actor::Actor;
use crate::error::Answer;
use crate::google::{context, problem};
use crate::state::ApiState;

/// The routes of connections.
pub(super) fn routes<T: Table>() -> T {
    T::default().routes(routes!(list, add)).routes(routes!(change, disconnect)).routes(routes!(calendars))
}

/// A connected calendar.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionBody {
    id: Uuid,
    /// `google` or `microsoft`.
    provider: String,
    /// The account's address.
    account: String,
    calendar_id: String,
    summary: Option<String>,
    enabled: bool,
    /// `active`, `reauth_required` (connect it again), `revoked` (disconnected), `gone` (the calendar is gone).
    state: String,
    state_reason: Option<String>,
    /// `both`, `to_google` or `from_google`.
    sync_direction: String,
    /// `push`, `poll` (this calendar cannot be watched) or `gone`.
    push_capability: String,
    /// End of the access token's life; it is renewed as long as the grant stands.
    expires_at: Option<DateTime<Utc>>,
    last_synced_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Connection> for ConnectionBody {
    fn from(c: Connection) -> Self {
        Self {
            id: c.id,
            provider: c.provider,
            account: c.account,
            calendar_id: c.calendar_id,
            summary: c.summary,
            enabled: c.enabled,
            state: c.state,
            state_reason: c.state_reason,
            sync_direction: c.sync_direction,
            push_capability: c.push_capability,
            expires_at: c.expires_at,
            last_synced_at: c.last_synced_at,
            last_error: c.last_error,
            created_at: c.created_at,
        }
    }
}

fn unknown(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no connection {id}"))
}

/// Connected calendars, newest first
#[utoipa::path(get, path = "/api/connections", tag = "providers", params(PageQuery), responses(
    (status = 200, description = "A page of connections", body = Page<ConnectionBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Page<ConnectionBody>>> {
    let before = page.after()?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let rows = connections::list(&mut tx, company, before, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |c| (c.created_at, c.id)).map(ConnectionBody::from)))
}

/// Another calendar of a Google account that is connected, or the calendar of a mailbox of Microsoft.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddConnection {
    /// `google` (default) or `microsoft`.
    provider: Option<String>,
    /// Google: a connection of the account.
    connection_id: Option<Uuid>,
    /// Google: the calendar.
    #[serde(default)]
    calendar_id: String,
    /// Microsoft: address or user id; its default calendar is connected, with the application's permission.
    #[serde(default)]
    mailbox: String,
    /// `both`, `to_google` or `from_google`; `both` when absent.
    #[serde(default)]
    sync_direction: String,
}

/// Connects another calendar of a Google account, or the calendar of a mailbox of Microsoft, without a new consent
#[utoipa::path(post, path = "/api/connections", tag = "providers", request_body = AddConnection, responses(
    (status = 201, description = "It is connected", body = ConnectionBody),
    (status = 404, description = "No such connection, or the account has no such calendar",
        body = web::problem::ProblemBody),
    (status = 409, description = "The calendar is connected elsewhere", body = web::problem::ProblemBody),
))]
pub async fn add(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    Json(body): Json<AddConnection>,
) -> Answer<Response> {
    match body.provider.as_deref() {
        None | Some("google") => {}
        Some("microsoft") => {
            let stored = outlook::add(&state, &claims, &actor, &body.mailbox, &body.sync_direction).await?;
            return Ok((StatusCode::CREATED, Json(ConnectionBody::from(stored))).into_response());
        }
        Some(_) => {
            let message = "is `google` or `microsoft`";
            return Err(Problem::unprocessable(vec![FieldError::new("provider", message)]).into());
        }
    }
    let Some(connection_id) = body.connection_id else {
        let message = "names a connection of the Google account";
        return Err(Problem::unprocessable(vec![FieldError::new("connection_id", message)]).into());
    };
    state.unless_switched(&claims, Flag::BreakerGoogle).await?;
    let request = ConnectCalendarRequest {
        context: Some(context(claims.org)),
        user_id: claims.sub.clone(),
        connection_id: connection_id.to_string(),
        calendar_id: body.calendar_id,
        sync_direction: body.sync_direction,
    };
    let reply = state.google.connect_calendar(request).await.map_err(problem)?;
    let id: Uuid = reply.connection_id.parse().map_err(|_| Problem::defect())?;
    let (mut tx, company) = state.tenant(&claims).await?;
    let stored = connections::get(&mut tx, company, id).await?.ok_or_else(|| unknown(id))?;
    let details = json!({ "calendar_id": stored.calendar_id });
    actor
        .record(
            &mut tx,
            company,
            "connection.connect",
            format!("connection:{id}"),
            actor.reason(None)?,
            details,
        )
        .await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(ConnectionBody::from(stored))).into_response())
}

/// What to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeConnection {
    /// Absent: stays as it is.
    enabled: Option<bool>,
    /// `both`, `to_google` or `from_google`; absent: stays as it is.
    sync_direction: Option<String>,
}

/// Switches a connection on or off, or turns its direction
#[utoipa::path(patch, path = "/api/connections/{id}", tag = "providers", params(("id" = Uuid, Path)),
    request_body = ChangeConnection, responses(
        (status = 200, description = "It was changed", body = ConnectionBody),
        (status = 404, description = "No such connection", body = web::problem::ProblemBody),
        (status = 409, description = "It is disconnected", body = web::problem::ProblemBody),
    ))]
pub async fn change(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    Path(id): Path<Uuid>,
    Json(body): Json<ChangeConnection>,
) -> Answer<Json<ConnectionBody>> {
    let direction = body.sync_direction.as_deref();
    if direction.is_some_and(|d| !matches!(d, "both" | "to_google" | "from_google")) {
        let message = "is `both`, `to_google` or `from_google`";
        return Err(Problem::unprocessable(vec![FieldError::new("sync_direction", message)]).into());
    }
    let (mut tx, company) = state.tenant(&claims).await?;
    let before = connections::get(&mut tx, company, id).await?.ok_or_else(|| unknown(id))?;
    let reader = !matches!(before.access_role.as_deref(), Some("owner" | "writer"));
    if reader && direction.is_some_and(|d| d != "from_google") {
        let message = "the account may only read this calendar: only `from_google` is possible";
        return Err(Problem::conflict("calendar_read_only", message).into());
    }
    if !connections::change(&mut tx, company, id, body.enabled, direction).await? {
        let message = "the connection has ended: connect the calendar again";
        return Err(Problem::conflict("connection_ended", message).with("state", before.state).into());
    }
    let details = json!({ "enabled": body.enabled, "sync_direction": body.sync_direction });
    actor
        .record(
            &mut tx,
            company,
            "connection.change",
            format!("connection:{id}"),
            actor.reason(None)?,
            details,
        )
        .await?;
    let after = connections::get(&mut tx, company, id).await?.ok_or_else(|| unknown(id))?;
    tx.commit().await?;
    Ok(Json(ConnectionBody::from(after)))
}

/// What disconnecting came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Disconnected {
    id: Uuid,
    /// `revoked`
    state: &'static str,
    channels_stopped: u32,
    /// Channels that Google did not confirm: they fire unheard until they expire.
    channels_orphaned: u32,
    /// It was the account's last calendar: its grant ends.
    last_calendar: bool,
    /// Google confirmed the end of the grant; if not, it is told again later.
    grant_revoked: bool,
}

/// Disconnects a calendar: stops its channels, then revokes the grant with the account's last calendar. Its events
/// stay; connecting the calendar again takes them up. Works when Google does not answer
#[utoipa::path(delete, path = "/api/connections/{id}", tag = "providers", params(("id" = Uuid, Path)), responses(
    (status = 200, description = "It is disconnected", body = Disconnected),
    (status = 404, description = "No such connection", body = web::problem::ProblemBody),
))]
pub async fn disconnect(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    actor: Actor,
    Path(id): Path<Uuid>,
) -> Answer<Json<Disconnected>> {
    if let Some(connection) = outlook::find(&state, &claims, id).await? {
        let ended = outlook::remove(&state, &claims, &actor, &connection).await?;
        return Ok(Json(Disconnected {
            id,
            state: "revoked",
            channels_stopped: ended.stopped,
            channels_orphaned: ended.orphaned,
            last_calendar: true,
            grant_revoked: true,
        }));
    }
    let request = DisconnectRequest {
        context: Some(context(claims.org)),
        connection_id: id.to_string(),
        requested_by: claims.sub.clone(),
    };
    let reply = state.google.disconnect(request).await.map_err(problem)?;
    if !reply.existed {
        return Err(unknown(id).into());
    }
    let (mut tx, company) = state.tenant(&claims).await?;
    let details = json!({
        "channels_stopped": reply.channels_stopped, "channels_orphaned": reply.channels_orphaned,
        "last_calendar": reply.last_calendar, "grant_revoked": reply.revoked,
    });
    actor
        .record(
            &mut tx,
            company,
            "connection.disconnect",
            format!("connection:{id}"),
            actor.reason(None)?,
            details,
        )
        .await?;
    tx.commit().await?;
    Ok(Json(Disconnected {
        id,
        state: "revoked",
        channels_stopped: reply.channels_stopped,
        channels_orphaned: reply.channels_orphaned,
        last_calendar: reply.last_calendar,
        grant_revoked: reply.revoked,
    }))
}

/// A calendar that the account sees.
#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarBody {
    id: String,
    summary: String,
    time_zone: String,
    /// `owner`, `writer`, `reader` or `freeBusyReader`.
    access_role: String,
    primary: bool,
}

/// Calendars of the account behind a connection, as Google lists them now
#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarsBody {
    items: Vec<CalendarBody>,
    /// Always null: the list is complete.
    next_cursor: Option<String>,
}

/// Calendars that the account behind a connection sees
#[utoipa::path(get, path = "/api/connections/{id}/calendars", tag = "providers", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "All of them", body = CalendarsBody),
        (status = 404, description = "No such connection", body = web::problem::ProblemBody),
        (status = 409, description = "The account has to be connected again", body = web::problem::ProblemBody),
    ))]
pub async fn calendars(
    State(state): State<ApiState>,
    Admin(claims): Admin,
    Path(id): Path<Uuid>,
) -> Answer<Json<CalendarsBody>> {
    /// 250 a page.
    const PAGES: usize = 40;
    if let Some(connection) = outlook::find(&state, &claims, id).await? {
        let own = CalendarBody {
            id: connection.calendar_id,
            summary: connection.summary.unwrap_or_default(),
            time_zone: connection.time_zone.unwrap_or_default(),
            access_role: connection.access_role.unwrap_or_default(),
            primary: true,
        };
        return Ok(Json(CalendarsBody { items: vec![own], next_cursor: None }));
    }
    let mut items = Vec::new();
    let mut page_token = String::new();
    for _ in 0..PAGES {
        state.unless_switched(&claims, Flag::BreakerGoogle).await?;
        let request = ListCalendarsRequest {
            context: Some(context(claims.org)),
            connection_id: id.to_string(),
            page_token,
        };
        let page = state.google.list_calendars(request).await.map_err(problem)?;
        items.extend(page.calendars.into_iter().filter(|c| !c.deleted).map(|c| CalendarBody {
            id: c.id,
            summary: c.summary,
            time_zone: c.time_zone,
            access_role: c.access_role,
            primary: c.primary,
        }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(Json(CalendarsBody { items, next_cursor: None }))
}
