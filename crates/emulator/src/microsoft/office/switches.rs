//! Behaviours of mail and Teams that differ from day to day or hurt, as switches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What delta says of a message that was moved out of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// As if it were gone: what Exchange says.
    #[default]
    Deleted,
    /// That it is still somewhere.
    Changed,
}

impl MoveReason {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Changed => "changed",
        }
    }
}

/// Outlook's limit of calls at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// Calls of one application to one mailbox at once (Graph: 4).
    pub limit: u32,
    /// How long each call takes, in milliseconds, so that calls meet.
    #[serde(default)]
    pub hold_ms: u64,
}

/// Penalties for receivers of notifications that answer slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowEndpoint {
    /// An answer later than this is slow, in milliseconds (Graph: 2900).
    pub slow_ms: u64,
    /// Number of deliveries before anything is judged (Graph: 100).
    pub after: u32,
    /// How long deliveries are held when 10 % are slow, in milliseconds (Graph: ten minutes).
    pub delay_ms: u64,
}

/// All switches; the defaults are what is documented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of observed behaviours")]
pub struct Switches {
    /// A message that left a folder and came back between two deltas is reported as removed, and never
    /// again (graph-docs-contrib 72); immutable ids only.
    pub lose_round_trips: bool,
    /// What delta says of a message that was moved away.
    pub move_reason: MoveReason,
    /// Lists and first rounds end after that many pages although there is more (graph-docs 2153).
    pub drop_next_link_after: Option<u32>,
    /// The last message of a page comes again on the next one.
    pub duplicates_over_pages: bool,
    /// Chat messages appear in `/users/{u}/messages` with the subject "IM".
    pub im_messages: bool,
    /// Most messages of a first round with a `$filter`.
    pub filter_cap: u32,
    /// Calls at once to one mailbox; absent for any number.
    pub mailbox_concurrency: Option<Concurrency>,
    /// Calls in a minute of one application; `RateLimit-*` headers from 80 %, 429 above. Absent for any number.
    pub rate_limit_per_minute: Option<u32>,
    /// The first delta page of an empty channel has a nextLink that answers 400 (graph-docs 7382).
    pub empty_channel_next_link: bool,
    /// Seconds for which a new team answers 502 (graph-docs 6451).
    pub new_team_bad_gateway_seconds: i64,
    /// A `$filter` of Teams returns older messages too (graph-docs 9063).
    pub teams_filter_leaks: bool,
    /// More than 4 calls in a second to one channel are 429; they are counted in any case.
    pub enforce_channel_rate: bool,
    /// Longest lifetimes in minutes by kind: `drive`, `mail`, `events`, `channel`, `chat`.
    pub max_minutes: BTreeMap<String, i64>,
    /// Receivers that answer slowly are punished.
    pub slow_endpoint: Option<SlowEndpoint>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            lose_round_trips: false,
            move_reason: MoveReason::Deleted,
            drop_next_link_after: None,
            duplicates_over_pages: false,
            im_messages: false,
            filter_cap: 5000,
            mailbox_concurrency: None,
            rate_limit_per_minute: None,
            empty_channel_next_link: true,
            new_team_bad_gateway_seconds: 0,
            teams_filter_leaks: false,
            enforce_channel_rate: false,
            max_minutes: BTreeMap::new(),
            slow_endpoint: None,
        }
    }
}
