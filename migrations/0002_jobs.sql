-- The job ledger. `jobs` is what people read; services write the partition that fits the state:
--   jobs_live      scheduled, queued, running, retrying, parked (small, hot)
--   jobs_dead      dead letters, until retried or discarded
--   jobs_finished  succeeded and cancelled, partitioned by time, left by dropping partitions

CREATE SEQUENCE job_seq;
GRANT USAGE ON SEQUENCE job_seq TO syncline_app, syncline_dispatch;

CREATE TABLE jobs (
    id uuid NOT NULL,
    company_id uuid NOT NULL,
    -- Order of arrival; head of line per resource key.
    seq bigint NOT NULL DEFAULT nextval('job_seq'),
    kind text NOT NULL,
    version smallint NOT NULL,
    queue text NOT NULL,
    payload jsonb NOT NULL,
    dedupe_key text,
    resource_key text,
    -- 0 sweeps, 5 ordinary, 9 a person is waiting.
    priority smallint NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),
    state text NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    -- Fencing token: grows at every claim and every hand-back.
    epoch bigint NOT NULL DEFAULT 0,
    -- Attempts that ended without the handler's word: crash, lost lease, hand-back.
    interruptions integer NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL,
    queued_at timestamptz,
    -- Not started after this moment: dead with reason "deadline".
    deadline timestamptz,
    attempt_seconds integer NOT NULL CHECK (attempt_seconds > 0),
    lease_owner uuid,
    lease_expires_at timestamptz,
    started_at timestamptz,
    checkpoint jsonb,
    progress_done bigint NOT NULL DEFAULT 0,
    progress_total bigint,
    progress_unit text,
    result jsonb,
    -- Newest last; at most 20 are kept.
    errors jsonb NOT NULL DEFAULT '[]',
    error_fingerprint text,
    first_failed_at timestamptz,
    park_reason text,
    cancel_requested boolean NOT NULL DEFAULT false,
    batch_id uuid,
    requested_by text,
    traceparent text,
    tracestate text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
) PARTITION BY LIST (state);
COMMENT ON TABLE jobs IS 'Every job, live, dead and finished; partitioned by state.';

CREATE TABLE jobs_live PARTITION OF jobs
    FOR VALUES IN ('scheduled', 'queued', 'running', 'retrying', 'parked')
    WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
ALTER TABLE jobs_live ADD PRIMARY KEY (id);
-- Coalescing: one waiting job per key. A running one is left out, so that a request which comes while it
-- runs gets exactly one follow-up.
CREATE UNIQUE INDEX jobs_live_dedupe ON jobs_live (company_id, kind, dedupe_key)
    WHERE dedupe_key IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying', 'parked');
CREATE INDEX jobs_live_resource ON jobs_live (company_id, resource_key, priority DESC, seq)
    WHERE resource_key IS NOT NULL AND state = 'queued';
CREATE INDEX jobs_live_due ON jobs_live (run_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX jobs_live_queued ON jobs_live (queued_at) WHERE state = 'queued';
CREATE INDEX jobs_live_running ON jobs_live (id) WHERE state = 'running';
CREATE INDEX jobs_live_batch ON jobs_live (company_id, batch_id) WHERE batch_id IS NOT NULL;

CREATE TABLE jobs_dead PARTITION OF jobs FOR VALUES IN ('dead');
ALTER TABLE jobs_dead ADD PRIMARY KEY (id);
CREATE INDEX jobs_dead_finished ON jobs_dead (company_id, finished_at DESC);
CREATE INDEX jobs_dead_fingerprint ON jobs_dead (company_id, error_fingerprint);

CREATE TABLE jobs_finished PARTITION OF jobs FOR VALUES IN ('succeeded', 'cancelled')
    PARTITION BY RANGE (finished_at);
-- Takes what no weekly partition covers, so that finishing a job never waits for housekeeping.
CREATE TABLE jobs_finished_rest PARTITION OF jobs_finished DEFAULT;
CREATE INDEX jobs_finished_id ON jobs_finished (id);
CREATE INDEX jobs_finished_batch ON jobs_finished (company_id, batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX jobs_finished_time ON jobs_finished (company_id, finished_at DESC);

SELECT protect_tenant_table('jobs', true);
SELECT protect_tenant_table('jobs_live', true);
SELECT protect_tenant_table('jobs_dead', true);
SELECT protect_tenant_table('jobs_finished', true);
SELECT protect_tenant_table('jobs_finished_rest', true);

CREATE VIEW dead_letters WITH (security_invoker = true) AS
    SELECT id, company_id, kind, version, payload, attempt, max_attempts, error_fingerprint,
           first_failed_at, finished_at AS last_failed_at, errors -> -1 AS last_error, errors,
           requested_by, batch_id, traceparent, created_at
    FROM jobs_dead;
COMMENT ON VIEW dead_letters IS 'Jobs that used up their attempts or cannot be understood.';
GRANT SELECT ON dead_letters TO syncline_app;

-- Bells to ring. A row is written in the transaction that queues the job and leaves when the broker has
-- confirmed the message.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id uuid NOT NULL,
    job_id uuid NOT NULL,
    epoch bigint NOT NULL,
    routing_key text NOT NULL,
    traceparent text,
    tracestate text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- A relay works on it until then; afterwards another may take it.
    claimed_until timestamptz,
    -- How often the broker returned or refused it.
    refusals integer NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX outbox_job ON outbox (job_id);
SELECT protect_tenant_table('outbox', true);

-- One worker at a time per resource. The row stays while the resource is in use; its epoch is the
-- job's epoch, its expiry is on this server's clock.
CREATE TABLE resource_leases (
    company_id uuid NOT NULL,
    resource_key text NOT NULL,
    job_id uuid NOT NULL,
    epoch bigint NOT NULL,
    owner uuid NOT NULL,
    acquired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (company_id, resource_key)
) WITH (fillfactor = 50);
SELECT protect_tenant_table('resource_leases', true);

-- Messages that no worker could even claim, as the archivist found them in jobs.dead.
CREATE TABLE broker_dead_letters (
    id uuid PRIMARY KEY,
    -- NULL when the body does not say; such rows are visible to the dispatch role alone.
    company_id uuid,
    job_id uuid,
    routing_key text NOT NULL,
    reason text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_table('broker_dead_letters', true);

-- Claims a queued job for a worker, and its resource with it, or says why not.
-- outcome: claimed, gone, stale, not_due, busy, behind, cancelled, expired
CREATE FUNCTION claim_job(
    p_id uuid, p_epoch bigint, p_owner uuid, p_lease_seconds integer,
    OUT outcome text, OUT job jobs_live
) LANGUAGE plpgsql AS $$
DECLARE
    head uuid;
BEGIN
    SELECT * INTO job FROM jobs_live WHERE id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'gone';
        RETURN;
    END IF;
    IF job.state <> 'queued' OR job.epoch <> p_epoch THEN
        outcome := 'stale';
        RETURN;
    END IF;
    IF job.cancel_requested THEN
        outcome := 'cancelled';
        RETURN;
    END IF;
    IF job.deadline IS NOT NULL AND job.deadline < clock_timestamp() THEN
        outcome := 'expired';
        RETURN;
    END IF;
    IF job.resource_key IS NOT NULL THEN
        SELECT id INTO head FROM jobs_live
        WHERE company_id = job.company_id AND resource_key = job.resource_key AND state = 'queued'
        ORDER BY priority DESC, seq LIMIT 1;
        INSERT INTO resource_leases AS held (company_id, resource_key, job_id, epoch, owner, expires_at)
        VALUES (job.company_id, job.resource_key, job.id, job.epoch + 1, p_owner,
                clock_timestamp() + make_interval(secs => p_lease_seconds))
        ON CONFLICT (company_id, resource_key) DO UPDATE
            SET job_id = excluded.job_id, epoch = excluded.epoch, owner = excluded.owner,
                acquired_at = clock_timestamp(), expires_at = excluded.expires_at
            WHERE held.expires_at < clock_timestamp();
        IF NOT FOUND THEN
            -- The holder rings the next one when it is done.
            outcome := 'busy';
            RETURN;
        END IF;
        IF head <> job.id THEN
            -- Free, but another is first in line: ring that one.
            DELETE FROM resource_leases
            WHERE company_id = job.company_id AND resource_key = job.resource_key AND job_id = job.id;
            INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate)
            SELECT company_id, id, epoch, kind, traceparent, tracestate FROM jobs_live
            WHERE id = head AND NOT EXISTS (SELECT FROM outbox o WHERE o.job_id = head);
            outcome := 'behind';
            RETURN;
        END IF;
    END IF;
    UPDATE jobs_live
    SET state = 'running', epoch = epoch + 1, attempt = attempt + 1, lease_owner = p_owner,
        lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_seconds),
        started_at = clock_timestamp(), updated_at = clock_timestamp(), park_reason = NULL
    WHERE id = p_id
    RETURNING * INTO job;
    outcome := 'claimed';
END
$$;

-- Gives a resource back and rings the next job in its line.
CREATE FUNCTION release_resource(p_company uuid, p_resource text, p_job uuid) RETURNS void
    LANGUAGE sql AS $$
    DELETE FROM resource_leases
    WHERE company_id = p_company AND resource_key = p_resource AND job_id = p_job;
    INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate)
    SELECT company_id, id, epoch, kind, traceparent, tracestate FROM jobs_live
    WHERE company_id = p_company AND resource_key = p_resource AND state = 'queued' AND id <> p_job
    ORDER BY priority DESC, seq LIMIT 1;
$$;
