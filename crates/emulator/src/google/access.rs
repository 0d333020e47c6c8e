//! Who calls the Calendar API, and whether the token's scopes allow it.

use super::model::ApiError;
use super::oauth::Access;
use crate::http::Call;
use crate::world::World;

const PREFIX: &str = "https://www.googleapis.com/auth/";

/// What a call needs; each one is opened by several scopes (discovery document).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    EventsRead,
    EventsWrite,
    ListRead,
    ListWrite,
    CalendarRead,
    CalendarWrite,
    AclRead,
    AclWrite,
    FreeBusy,
    Settings,
    /// Any scope of the calendar.
    Any,
}

impl Need {
    fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::EventsRead => &[
                "calendar",
                "calendar.readonly",
                "calendar.events",
                "calendar.events.readonly",
                "calendar.events.owned",
                "calendar.events.owned.readonly",
                "calendar.events.freebusy",
                "calendar.events.public.readonly",
                "calendar.app.created",
            ],
            Self::EventsWrite => {
                &["calendar", "calendar.events", "calendar.events.owned", "calendar.app.created"]
            }
            Self::ListRead => {
                &["calendar", "calendar.readonly", "calendar.calendarlist", "calendar.calendarlist.readonly"]
            }
            Self::ListWrite => &["calendar", "calendar.calendarlist"],
            Self::CalendarRead => &[
                "calendar",
                "calendar.readonly",
                "calendar.calendars",
                "calendar.calendars.readonly",
                "calendar.app.created",
            ],
            Self::CalendarWrite => &["calendar", "calendar.calendars", "calendar.app.created"],
            Self::AclRead => &["calendar", "calendar.acls", "calendar.acls.readonly"],
            Self::AclWrite => &["calendar", "calendar.acls"],
            Self::FreeBusy => {
                &["calendar", "calendar.readonly", "calendar.freebusy", "calendar.events.freebusy"]
            }
            Self::Settings => &["calendar", "calendar.readonly", "calendar.settings.readonly"],
            Self::Any => &[],
        }
    }

    pub(crate) fn check(self, access: &Access) -> Result<(), ApiError> {
        let mut own = access.scopes.iter().filter_map(|scope| scope.strip_prefix(PREFIX));
        let open = match self {
            Self::Any => own.any(|scope| scope.starts_with("calendar")),
            _ => own.any(|scope| self.scopes().contains(&scope)),
        };
        if open { Ok(()) } else { Err(ApiError::scope()) }
    }
}

/// The bearer token of a call.
pub(crate) fn bearer(call: &Call) -> Option<&str> {
    let (scheme, token) = call.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The access that the call's token gives.
pub(crate) fn check(world: &World, call: &Call) -> Result<Access, ApiError> {
    let query = call.query("access_token");
    bearer(call)
        .or(query.as_deref())
        .and_then(|token| world.google.oauth().access(token, world.clock.now()).cloned())
        .ok_or_else(ApiError::credentials)
}
