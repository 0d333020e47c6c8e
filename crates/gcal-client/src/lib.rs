//! Google Calendar v3 and Google OAuth 2.0 as this system uses them: events travel as the JSON that Google sent,
//! errors are classified by reason.
//!
//! Calendar calls go through [`outbound::provider::ProviderClient`], which keeps the provider's rules; addresses are
//! built below the configured one, so that a bearer token never goes elsewhere. A write without a usable answer is
//! [`GcalErrorKind::Ambiguous`] and never repeated here.

mod calendars;
mod channels;
mod client;
mod error;
mod events;
mod oauth;
mod reading;

pub use calendars::{CalendarEntry, CalendarPage};
pub use channels::{Channel, NewChannel};
pub use client::GcalClient;
pub use error::{Asked, ErrorBody, GcalError, GcalErrorKind, classify, parse_error};
pub use events::{
    Delete, Deleted, EVENT_PARAMS, Event, EventPage, Instances, ListEvents, PoisonEvent, Write, read_page,
};
pub use oauth::{Authorize, Endpoints, GoogleOAuth, Identity, Pkce, Tokens, missing_scopes};
pub use reading::reading;
