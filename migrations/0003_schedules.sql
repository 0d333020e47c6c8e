-- Schedules need no leader: an occurrence is a row with a unique key, written in the transaction that
-- enqueues its job. Column names are those of pg_cron, which the runbooks query.

CREATE TABLE schedules (
    jobid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    jobname text NOT NULL,
    -- Five- or six-field cron expression, read in time_zone.
    schedule text NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC',
    -- Job kind that an occurrence enqueues.
    command text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT true,
    missed_policy text NOT NULL DEFAULT 'run_once' CHECK (missed_policy IN ('run_once', 'skip')),
    -- What the environment said when it was last applied: a rollout with another value wins over the
    -- stored one, a restart with the same value leaves an operator's change alone.
    environment jsonb NOT NULL DEFAULT '{}',
    -- Occurrences up to here are decided.
    decided_until timestamptz NOT NULL DEFAULT now(),
    next_run_at timestamptz,
    updated_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedules_name_unique UNIQUE (company_id, jobname)
);
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE active;
SELECT protect_tenant_table('schedules', true);

CREATE TABLE schedule_runs (
    jobid bigint NOT NULL REFERENCES schedules ON DELETE CASCADE,
    occurrence_at timestamptz NOT NULL,
    company_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('enqueued', 'skipped')),
    -- Why it was skipped: disabled, missed, invalid.
    reason text,
    job_id uuid,
    start_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    end_time timestamptz,
    return_message text,
    PRIMARY KEY (jobid, occurrence_at)
);
CREATE INDEX schedule_runs_recent ON schedule_runs (company_id, start_time DESC);
SELECT protect_tenant_table('schedule_runs', true);
