-- What operators do with jobs that need a person, and the record of it.

-- Every action of a person, with who and why. Append-only: the application role may insert and read. `sequence`
-- is assigned when the chain is sealed. company_id is NULL for what belongs to no organization (a message that
-- nobody could read); such rows are visible to the dispatch role alone.
CREATE TABLE audit_events (
    id uuid PRIMARY KEY,
    company_id uuid,
    sequence bigint,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Subject of the token, or the service that acted by itself.
    actor text NOT NULL,
    role text NOT NULL,
    -- Such as `dead_letter.retry`.
    action text NOT NULL,
    -- Such as `job:<id>`.
    resource text NOT NULL,
    reason text,
    request_id text,
    trace_id text,
    details jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE audit_events IS 'Who did what, and why; append-only.';
CREATE INDEX audit_events_time ON audit_events (company_id, occurred_at DESC);
CREATE INDEX audit_events_resource ON audit_events (resource, occurred_at DESC);
SELECT protect_tenant_table('audit_events', true);
REVOKE UPDATE, DELETE, TRUNCATE ON audit_events FROM syncline_app, syncline_dispatch;

-- Payloads of dead letters as they were before somebody edited them.
CREATE TABLE dead_letter_edits (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    job_id uuid NOT NULL,
    version smallint NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    edited_by text NOT NULL,
    reason text,
    edited_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dead_letter_edits_job ON dead_letter_edits (job_id, edited_at);
SELECT protect_tenant_table('dead_letter_edits');

-- A message that nobody could claim is kept when it is discarded, too.
ALTER TABLE broker_dead_letters
    ADD COLUMN discarded_at timestamptz,
    ADD COLUMN discarded_by text,
    ADD COLUMN discard_reason text;
CREATE INDEX broker_dead_letters_time ON broker_dead_letters (company_id, archived_at DESC)
    WHERE discarded_at IS NULL;

CREATE INDEX jobs_live_parked ON jobs_live (company_id, updated_at) WHERE state = 'parked';

-- Retry-all: an operation with a plan, done in waves (domain::wave).
CREATE TABLE operations (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('planned', 'running', 'succeeded', 'aborted', 'cancelled')),
    -- {kind, since, error, limit} as asked for.
    filter jsonb NOT NULL,
    -- The same as one text: at most one running operation per filter.
    filter_key text NOT NULL,
    planned integer NOT NULL DEFAULT 0,
    -- Items are numbered from 1 in the order in which they are retried; those up to here are taken.
    taken integer NOT NULL DEFAULT 0,
    wave integer NOT NULL DEFAULT 0,
    -- The current wave are the items wave_from .. wave_to.
    wave_from integer NOT NULL DEFAULT 1,
    wave_to integer NOT NULL DEFAULT 0,
    wave_at timestamptz,
    requested_by text NOT NULL,
    role text NOT NULL,
    reason text,
    -- Why it ended before its end.
    ended_because text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    -- Nothing is taken any more since then.
    ended_at timestamptz,
    -- Every job that was retried has ended since then.
    settled_at timestamptz
);
COMMENT ON TABLE operations IS 'Retries of many dead letters: plan, waves, outcome.';
CREATE UNIQUE INDEX operations_running ON operations (company_id, filter_key) WHERE state = 'running';
CREATE INDEX operations_time ON operations (company_id, created_at DESC);
SELECT protect_tenant_table('operations');

CREATE TABLE operation_items (
    -- No foreign key: checking a hundred thousand of them takes longer than writing the plan.
    operation_id uuid NOT NULL,
    position integer NOT NULL,
    company_id uuid NOT NULL,
    job_id uuid NOT NULL,
    kind text NOT NULL,
    fingerprint text,
    -- planned    not its turn yet
    -- retried    queued again, no attempt has ended yet
    -- failing    failed again and tries on by itself
    -- succeeded, failed_again (a dead letter once more), parked, cancelled
    -- coalesced  another job does its work (served_by)
    -- skipped    was no dead letter any more when its turn came
    -- returned   put back among the dead letters before it ran, since the operation had ended
    -- unknown    its row has left the history before it was looked at
    result text NOT NULL DEFAULT 'planned',
    wave integer,
    served_by uuid,
    decided_at timestamptz,
    PRIMARY KEY (operation_id, position)
) WITH (fillfactor = 80);
CREATE INDEX operation_items_open ON operation_items (operation_id, position)
    WHERE result IN ('retried', 'failing');
SELECT protect_tenant_table('operation_items');
