//! Who calls, and with which query parameters.

use chrono::{DateTime, Utc};

/// Who calls, by which application, and when.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// E-mail address of the account.
    pub account: &'a str,
    /// OAuth client: the project for quotas, the owner of channels.
    pub client: &'a str,
    /// The present.
    pub now: DateTime<Utc>,
}

/// Who is told by mail about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SendUpdates {
    /// All guests.
    All,
    /// Guests outside the organizer's domain.
    ExternalOnly,
    /// Nobody; also what a request that says nothing means.
    #[default]
    None,
}

/// Parameters of writes.
#[derive(Debug, Clone, Default)]
pub struct WriteParams {
    /// Value of `If-Match`; `*` matches everything.
    pub if_match: Option<String>,
    /// `sendUpdates`, or `sendNotifications=true` for all.
    pub send_updates: SendUpdates,
    /// `conferenceDataVersion`: with 0 conference data is left alone.
    pub conference_data_version: u32,
    /// `supportsAttachments`
    pub supports_attachments: bool,
    /// `eventLabelVersion`
    pub event_label_version: u32,
    /// `maxAttendees` of the answer.
    pub max_attendees: Option<usize>,
}

/// What a page is asked to do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTrouble {
    /// No items, and a link on.
    Empty,
    /// A link to the same page.
    Loop,
}

/// Parameters of `events.list` and `events.instances`.
#[derive(Debug, Clone, Default)]
pub struct ListParams {
    /// Rows of a page; 250 without it, 2500 at most.
    pub max_results: Option<usize>,
    /// Continues a run.
    pub page_token: Option<String>,
    /// Starts an incremental run.
    pub sync_token: Option<String>,
    /// Instances in place of series.
    pub single_events: bool,
    /// Deleted events too.
    pub show_deleted: Option<bool>,
    /// Lower bound of the end, RFC 3339.
    pub time_min: Option<String>,
    /// Upper bound of the start, RFC 3339.
    pub time_max: Option<String>,
    /// Lower bound of `updated`, RFC 3339.
    pub updated_min: Option<String>,
    /// Zone of the answer.
    pub time_zone: Option<String>,
    /// Events with this iCalUID.
    pub ical_uid: Option<String>,
    /// Free text.
    pub q: Option<String>,
    /// `startTime` or `updated`.
    pub order_by: Option<String>,
    /// Event types; none for all.
    pub event_types: Vec<String>,
    /// Constraints `name=value` on private extended properties.
    pub private_properties: Vec<String>,
    /// Constraints `name=value` on shared extended properties.
    pub shared_properties: Vec<String>,
    /// Guests shown of each event.
    pub max_attendees: Option<usize>,
    /// Invitations that are hidden.
    pub show_hidden_invitations: bool,
    /// `events.instances`: the instance with this original start.
    pub original_start: Option<String>,
    /// Set by a fault.
    pub trouble: Option<PageTrouble>,
}
