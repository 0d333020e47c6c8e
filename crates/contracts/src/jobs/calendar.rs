//! Jobs of calendars.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{JobPayload, Queue, Trigger};

/// Names the resource key of a calendar's jobs: one at a time per connection.
pub fn calendar_resource(connection: Uuid) -> String {
    format!("calendar:{connection}")
}

/// Brings what Google changed in a calendar into `events`, from its stored cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullCalendar {
    /// Row of `google_calendar_connections`.
    pub connection_id: Uuid,
    /// What the run is recorded as.
    pub trigger: Trigger,
    /// Enumerate the whole calendar anew, whatever the cursor says.
    #[serde(default)]
    pub full: bool,
    /// Removals that a person has approved: at most so many events that the last complete enumeration did not show
    /// are ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_removals: Option<i64>,
}

impl JobPayload for PullCalendar {
    const KIND: &'static str = "calendar.pull";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Calendar;
    const DEADLINE_SECONDS: i32 = 1800;
}

/// Carries the waiting app writes of a calendar to Google.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushCalendar {
    /// Row of `google_calendar_connections`.
    pub connection_id: Uuid,
}

impl JobPayload for PushCalendar {
    const KIND: &'static str = "calendar.push";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Calendar;
    const DEADLINE_SECONDS: i32 = 1800;
}

/// Makes sure that a calendar has a push channel that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchCalendar {
    /// Row of `google_calendar_connections`.
    pub connection_id: Uuid,
}

impl JobPayload for WatchCalendar {
    const KIND: &'static str = "calendar.watch";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Calendar;
}

/// Pulls every active calendar of the company: the floor under the push channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepCalendars {
    /// What the runs are recorded as.
    pub trigger: Trigger,
}

impl JobPayload for SweepCalendars {
    const KIND: &'static str = "maintenance.sweep_calendars";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
}

/// Pushes whatever waits in the company's calendar queue: the floor under the wake-ups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushCalendars {}

impl JobPayload for PushCalendars {
    const KIND: &'static str = "maintenance.push_calendars";
    const VERSION: i16 = 1;
    const QUEUE: Queue = Queue::Maintenance;
}
