//! Two-way calendars: what an event is, how two sides of it are brought together, and when.
//!
//! Everything here is pure. The shell (worker, connector, store) brings facts and carries out decisions.
//!
//! | module | decides |
//! |---|---|
//! | [`event`] | the canonical event, its fields and its hash |
//! | [`google`] | Google's JSON to the canonical event and back |
//! | [`outlook`] | Outlook's JSON to the canonical event and back |
//! | [`dialect`] | which of the two a calendar speaks |
//! | [`merge`] | three-way merge per field, with what lost |
//! | [`identity`] | ids minted before the call, the stamp, ids of occurrences |
//! | [`cursor`] | a round of synchronisation: pages, tokens, generations, sweep |
//! | [`engine`] | pull, push and what an answer means |
//! | [`series`] | occurrences of a series, "this and following" |
//! | [`recurrence`] | recurrence lines: validation and expansion |
//! | [`channel`] | a push channel's life and renewal |
//! | [`quota`] | what errors mean for the next attempt, quota figures |
//!
//! # What the shell has to do
//!
//! * A page: in one transaction check the lease's fence, take every item (the first of [`engine::matches`]
//!   whose row [`engine::may_link`]: [`engine::pull`]; none: [`engine::adopt`]), end what
//!   [`engine::Pulled::cascade`] names, and store the cursor. A tombstone that nothing matches ends the
//!   exceptions whose `series_google_id` it is ([`engine::Cascade::All`]).
//! * The last page, in the same transaction: after a full round [`engine::sweep`] every row of a lower
//!   generation, behind [`cursor::sweep_verdict`]; after every round end the exceptions that are
//!   [`engine::orphaned`] or [`engine::redundant`]. To end a row is to store [`engine::series_ended`] among
//!   the conflicts and to remove it.
//! * A push: series before their exceptions; [`engine::push`], commit, call, [`engine::conclude`] on the row
//!   as stored by then, commit. [`engine::Next::Pull`] asks for a pull before the next plan.
//! * What the engine writes to the application's columns must not count as a write of the application
//!   (`revision`, `changed_at`, the queue).
//! * "This and following": [`series::split`], and [`series::follow`] for each later exception, whose old row
//!   is deleted; all of it one transaction of the application.
//!
//! # What a row has to store
//!
//! Everything that must survive a crash is in [`engine::Row`] and [`cursor::Cursor`]. Beside the columns
//! that people query (`title`, `start_at`, ...; the application's side is read from and written to them):
//!
//! | column | of | meaning |
//! |---|---|---|
//! | `id` | `Row::key` | seed of the minted id |
//! | `deleted_at` | `Row::local` | set: [`event::Side::Gone`] |
//! | `changed_at timestamptz` | `Row::changed_at` | last write of the application (a trigger; not ours) |
//! | `revision bigint` | `Row::revision` | counts the application's writes (the same trigger) |
//! | `origin text` | `Row::origin` | `app` or `provider` |
//! | `series_event_id uuid`, `series_google_id text`, `original_start timestamptz`, `original_date date` | `Row::place` | an exception's place; unique per series |
//! | `copied jsonb` | `Row::copied` | the occurrence as copied when the application made an exception |
//! | `send_updates text` | `Row::updates` | whom to mail about the next write; reset to `none` once agreed |
//! | `google_event_id text`, `incarnation int` | `Link::id`, `Link::incarnation` | minted and committed before the call |
//! | `base jsonb`, `base_etag text`, `google_updated_at timestamptz`, `raw jsonb` | `Link::base` | the provider's state that was seen last (`base` in canonical form), losslessly |
//! | `sent jsonb`, `sent_revision bigint` | `Link::sent` | a write whose effect is unknown |
//! | `attempts int`, `id_taken bool`, `undelete_refused bool`, `look bool`, `unmade bool` | `Link` | how this incarnation's insert and revival went |
//! | `generation bigint` | `Link::generation` | the full round in which it was seen last |
//! | `writes int`, `written_revision bigint` | `Link::writes`, `Link::written` | the loop breaker |
//! | `missing int` | `Link::missing` | answers "not found" in a row |
//! | `parked_cause jsonb`, `parked_revision bigint` | `Link::parked` | waits for a person or a later edit |
//!
//! Equivalently the link is one `jsonb` column with `google_event_id` generated from it: [`engine::Link`]
//! is `Serialize`. The cursor is one row per (tenant, connection, calendar, [`cursor::Parameters::hash`])
//! with `generation`, `round jsonb`, `bootstrapped`, `pages`, `restarts`.

pub mod channel;
pub mod cursor;
pub mod dialect;
pub mod engine;
pub mod event;
pub mod google;
pub mod identity;
pub mod merge;
pub mod outlook;
pub mod quota;
pub mod recurrence;
pub mod series;
mod text;
