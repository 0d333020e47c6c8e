//! Behaviours of the provider that nobody has verified, as switches; the defaults are the best supported
//! readings. A client must be correct under every setting.

use serde::{Deserialize, Serialize};

/// Whether a sync token may be used with other parameters than those it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenParameters {
    /// Other parameters are refused with 400.
    #[default]
    Refuse,
    /// Other parameters are taken as they are: the undefined behaviour of the documentation.
    Ignore,
}

/// What a deleted event looks like in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tombstones {
    /// The guaranteed fields only.
    #[default]
    Bare,
    /// With all details, as the organizer's calendar keeps them.
    Detailed,
}

/// What a delta says of the exceptions of a series that is deleted, cut short or turned into a single event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orphans {
    /// They are gone without a word.
    Vanish,
    /// Each one is reported as cancelled.
    Tombstone,
}

/// Whether an event that is deleted may be brought back by `status: confirmed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undelete {
    /// It may.
    #[default]
    Allowed,
    /// 403, as google-api-ruby-client 1811 reports.
    Forbidden,
}

/// What `events.import` does with an iCalUID that the calendar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportExisting {
    /// The event is updated.
    #[default]
    Upsert,
    /// 409.
    Duplicate,
}

/// Which error shape bodies have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorShape {
    /// `error.errors[].reason`
    #[default]
    Legacy,
    /// `error.details[].reason` and `error.status`
    Modern,
    /// Both in one body.
    Both,
}

/// How several constraints on extended properties are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertySearch {
    /// All must match (discovery document).
    #[default]
    And,
    /// One is enough (guide).
    Or,
}

/// Limits of the sliding windows; a window is one minute long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Requests in a minute of one project.
    pub per_project: u32,
    /// Requests in a minute of one user in one project.
    pub per_user: u32,
    /// Writes in a minute to one calendar of one account; absent for any number. Nobody knows the figure.
    pub per_calendar_writes: Option<u32>,
    /// Units that an `events.patch` costs; the reference page is remembered to say 3.
    pub patch_units: u32,
    /// 403 or 429: both are documented.
    pub status: u16,
}

impl Default for Quota {
    fn default() -> Self {
        Self { per_project: 10_000, per_user: 600, per_calendar_writes: None, patch_units: 1, status: 403 }
    }
}

/// All switches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of unverified behaviours")]
pub struct Switches {
    /// Shape of error bodies.
    pub error_shape: ErrorShape,
    /// E2: pages are cut before rows are filtered, so that a page may hold nothing and link on.
    pub page_before_filter: bool,
    /// E8: a sync token with other parameters.
    pub token_parameters: TokenParameters,
    /// E6: seconds for which a sync token is good; absent for ever.
    pub token_seconds: Option<i64>,
    /// A1.5: the window of the first list is applied to deltas too.
    pub window_on_delta: bool,
    /// E9: how deleted events look in lists.
    pub tombstones: Tombstones,
    /// E19: exceptions of a series that is deleted.
    pub deleted_series: Orphans,
    /// Exceptions that lose their place because the series is cut short or becomes a single event. When they
    /// vanish, nobody who follows deltas can know: only a full run shows it.
    pub orphans: Orphans,
    /// An edit of a series changes the same field of exceptions that have not overridden it.
    pub exceptions_inherit: bool,
    /// E23: undelete by `status: confirmed`.
    pub undelete: Undelete,
    /// A5: a write that changes nothing leaves the etag alone.
    pub identical_keeps_etag: bool,
    /// E24: an edit of reminders alone moves the etag.
    pub reminders_move_etag: bool,
    /// E24: an edit of reminders alone appears in a delta.
    pub reminders_in_delta: bool,
    /// Inserting an iCalUID that the calendar has, also that of a deleted event, is a 409.
    pub uid_duplicate: bool,
    /// Import of an iCalUID that the calendar has.
    pub import_existing: ImportExisting,
    /// An older `sequence` than the stored one is refused.
    pub stale_sequence_refused: bool,
    /// E42: descriptions are sanitised as HTML.
    pub sanitise_html: bool,
    /// Timed events without a duration are accepted.
    pub zero_length_events: bool,
    /// The limits of extended properties are enforced.
    pub property_limits: bool,
    /// Several constraints on extended properties.
    pub property_search: PropertySearch,
    /// `events.move` answers `status: cancelled` although the event lives at its destination.
    pub move_answers_cancelled: bool,
    /// E37: milliseconds for which an inserted event is not found by its id.
    pub visible_after_ms: i64,
    /// E30: longest life of a channel in seconds.
    pub channel_seconds: i64,
    /// E31: status for stopping a channel of another client or user: 403 or 404.
    pub foreign_stop_status: u16,
    /// E31: one message still leaves after a channel is stopped.
    pub late_message_after_stop: bool,
    /// Push addresses must be https; loopback addresses may be http so that tests need no certificate.
    pub http_on_loopback: bool,
    /// Push addresses may be http anywhere: between containers that have no certificates.
    pub http_push: bool,
    /// Hosts that are verified for push; absent for all.
    pub verified_hosts: Option<Vec<String>>,
    /// E33: sliding windows; absent for none.
    pub quota: Option<Quota>,
    /// E33: minutes of read-only after `quotaExceeded`.
    pub read_only_minutes: i64,
    /// E33: guests that one account may invite in a day before it becomes read-only; absent for any number.
    pub guests_per_day: Option<u32>,
    /// Calendars that one account may create in a day; absent for any number.
    pub calendars_per_day: Option<u32>,
    /// E36: refresh tokens that one account and client may have; the oldest one dies.
    pub refresh_tokens: usize,
    /// E36: days after which a refresh token dies (7 for consent screens in testing); absent for never.
    pub refresh_token_days: Option<i64>,
    /// A8: `refresh_token_expires_in` of a time-based grant, in seconds; absent for none.
    pub time_based_grant_seconds: Option<i64>,
    /// E36: scopes that the user does not grant, however often they are asked for.
    pub withheld_scopes: Vec<String>,
    /// E38: parts that a batch may have.
    pub batch_parts: usize,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            error_shape: ErrorShape::default(),
            page_before_filter: true,
            token_parameters: TokenParameters::default(),
            token_seconds: None,
            window_on_delta: false,
            tombstones: Tombstones::default(),
            deleted_series: Orphans::Vanish,
            orphans: Orphans::Tombstone,
            exceptions_inherit: false,
            undelete: Undelete::default(),
            identical_keeps_etag: true,
            reminders_move_etag: true,
            reminders_in_delta: true,
            uid_duplicate: true,
            import_existing: ImportExisting::default(),
            stale_sequence_refused: true,
            sanitise_html: true,
            zero_length_events: true,
            property_limits: true,
            property_search: PropertySearch::default(),
            move_answers_cancelled: true,
            visible_after_ms: 0,
            channel_seconds: 604_800,
            foreign_stop_status: 404,
            late_message_after_stop: false,
            http_on_loopback: true,
            http_push: false,
            verified_hosts: None,
            quota: None,
            read_only_minutes: 240,
            guests_per_day: None,
            calendars_per_day: None,
            refresh_tokens: 100,
            refresh_token_days: None,
            time_based_grant_seconds: None,
            withheld_scopes: Vec::new(),
            batch_parts: 50,
        }
    }
}
