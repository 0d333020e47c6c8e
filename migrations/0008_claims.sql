-- Claims in batches, and the end of a job in one call.

ALTER TABLE outbox
    ADD COLUMN IF NOT EXISTS queue text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS priority smallint NOT NULL DEFAULT 5;

-- Queued jobs that a person waits for; few at any time.
CREATE INDEX jobs_live_interactive ON jobs_live (queue, seq) WHERE state = 'queued' AND priority >= 8;

-- A table that vacuum cut down to a page is planned as one that is read whole, and the next burst comes
-- before the next ANALYZE. Pages that stay keep the plans right, and nothing waits for the cutting.
ALTER TABLE jobs_live SET (vacuum_truncate = off);
ALTER TABLE resource_leases SET (vacuum_truncate = off);

-- The functions below leave the planner one way for the same reason: they are planned once per connection,
-- perhaps while the queue is empty, when every index looks as good as the right one. No bitmap scans, which
-- never mark index entries of dead rows; no sorting, so that the index in the wanted order is taken.

-- Writes the bells of jobs that are queued.
CREATE FUNCTION ring_jobs(p_ids uuid[]) RETURNS void
    LANGUAGE sql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate, queue, priority)
    SELECT company_id, id, epoch, kind, traceparent, tracestate, queue, priority FROM jobs_live
    WHERE id = ANY (p_ids) AND state = 'queued';
$$;

-- As in 0002; the bell carries queue and priority.
CREATE OR REPLACE FUNCTION release_resource(p_company uuid, p_resource text, p_job uuid) RETURNS void
    LANGUAGE sql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off AS $$
    DELETE FROM resource_leases
    WHERE company_id = p_company AND resource_key = p_resource AND job_id = p_job;
    INSERT INTO outbox (company_id, job_id, epoch, routing_key, traceparent, tracestate, queue, priority)
    SELECT company_id, id, epoch, kind, traceparent, tracestate, queue, priority FROM jobs_live
    WHERE company_id = p_company AND resource_key = p_resource AND state = 'queued' AND id <> p_job
    ORDER BY priority DESC, seq LIMIT 1;
$$;

-- As in 0002; the bell carries queue and priority. Claims one job, and its resource with it.
-- outcome: claimed, gone, stale, busy, behind, cancelled, expired
CREATE OR REPLACE FUNCTION claim_job(
    p_id uuid, p_epoch bigint, p_owner uuid, p_lease_seconds integer,
    OUT outcome text, OUT job jobs_live
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off AS $$
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
        INSERT INTO resource_leases AS held (company_id, resource_key, job_id, epoch, owner, expires_at)
        VALUES (job.company_id, job.resource_key, job.id, job.epoch + 1, p_owner,
                clock_timestamp() + make_interval(secs => p_lease_seconds))
        ON CONFLICT (company_id, resource_key) DO UPDATE
            SET job_id = excluded.job_id, epoch = excluded.epoch, owner = excluded.owner,
                acquired_at = clock_timestamp(), expires_at = excluded.expires_at
            -- Expired alone is not free: until the reaper has put the holder's job back into the line,
            -- whoever takes the resource overtakes it.
            WHERE held.expires_at < clock_timestamp() AND NOT EXISTS (
                SELECT FROM jobs_live r WHERE r.id = held.job_id AND r.state = 'running');
        IF NOT FOUND THEN
            -- The holder rings the next one when it is done; the reaper does when the holder is gone.
            outcome := 'busy';
            RETURN;
        END IF;
        -- Looked for with the resource in hand: before, the holder may have been on its way back into the line.
        SELECT id INTO head FROM jobs_live
        WHERE company_id = job.company_id AND resource_key = job.resource_key AND state = 'queued'
        ORDER BY priority DESC, seq LIMIT 1;
        IF head <> job.id THEN
            -- Free, but another is first in line: ring that one.
            DELETE FROM resource_leases
            WHERE company_id = job.company_id AND resource_key = job.resource_key AND job_id = job.id;
            IF NOT EXISTS (SELECT FROM outbox o WHERE o.job_id = head) THEN
                PERFORM ring_jobs(ARRAY[head]);
            END IF;
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

-- Claims the jobs of many bells, in one statement where they have no resource. At most one claim per bell:
-- a queued job of priority 8 or 9 in the same queue whose own bell is still behind takes the place of a
-- bell's job that is less urgent and has not waited for 30 s, which is rung again.
-- outcome: claimed (asked is NULL for a job that took another's place), gone, stale, waiting, locked,
-- displaced, cancelled, expired. A job that someone else is changing is rung again and not waited for.
CREATE FUNCTION claim_jobs(p_ids uuid[], p_epochs bigint[], p_owner uuid, p_lease_seconds integer)
RETURNS TABLE (
    asked uuid, outcome text, id uuid, company_id uuid, epoch bigint, kind text, version smallint,
    payload jsonb, attempt integer, max_attempts integer, attempt_seconds integer, interruptions integer,
    checkpoint jsonb, resource_key text, requested_by text, batch_id uuid, traceparent text,
    tracestate text, waited double precision
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    seen uuid[];
    plain uuid[];
    lined uuid[];
    queues text[];
    spare uuid[];
    taken uuid[] := '{}';
    displaced uuid[] := '{}';
    urgent record;
    one record;
    next uuid;
    expires timestamptz;
BEGIN
    SELECT array_agg(l.id), array_agg(l.id) FILTER (WHERE l.verdict = 'claim' AND l.resource_key IS NULL),
        -- In one order for everybody, so that two batches do not wait for each other's leases.
        array_agg(l.id ORDER BY l.company_id, l.resource_key, l.priority DESC, l.seq)
            FILTER (WHERE l.verdict = 'claim' AND l.resource_key IS NOT NULL),
        array_agg(DISTINCT l.queue) FILTER (WHERE l.verdict = 'claim'),
        array_agg(l.id ORDER BY l.priority, l.seq DESC) FILTER (WHERE l.verdict = 'claim' AND l.priority < 8
            AND l.queued_at > clock_timestamp() - interval '30 seconds')
    INTO seen, plain, lined, queues, spare
    FROM (
        SELECT j.*, CASE WHEN j.state <> 'queued' OR j.cancel_requested OR j.deadline < clock_timestamp()
            THEN 'no' ELSE 'claim' END AS verdict
        FROM unnest(p_ids, p_epochs) AS a (id, epoch), LATERAL (
            SELECT j.id, j.company_id, j.state, j.cancel_requested, j.deadline, j.resource_key, j.priority,
                j.seq, j.queue, j.queued_at
            FROM jobs_live j WHERE j.id = a.id AND j.epoch = a.epoch LIMIT 1 FOR UPDATE SKIP LOCKED
        ) j
    ) l;

    IF cardinality(spare) > 0 THEN
        FOR urgent IN
            SELECT i.id, i.resource_key
            FROM unnest(queues) AS q (name),
                LATERAL (
                    SELECT c.id FROM jobs_live c
                    WHERE c.queue = q.name AND c.state = 'queued' AND c.priority >= 8
                    ORDER BY c.seq LIMIT 500
                ) c, jobs_live i
            WHERE i.id = c.id AND i.state = 'queued' AND i.id <> ALL (p_ids) AND NOT i.cancel_requested
                AND (i.deadline IS NULL OR i.deadline > clock_timestamp())
                AND (i.resource_key IS NULL OR NOT EXISTS (
                    SELECT FROM resource_leases r WHERE r.company_id = i.company_id
                        AND r.resource_key = i.resource_key AND r.expires_at > clock_timestamp()
                ) AND i.id = (
                    SELECT h.id FROM jobs_live h WHERE h.company_id = i.company_id
                        AND h.resource_key = i.resource_key AND h.state = 'queued'
                    ORDER BY h.priority DESC, h.seq LIMIT 1
                ))
            LIMIT cardinality(spare) FOR UPDATE OF i SKIP LOCKED
        LOOP
            displaced := displaced || spare[cardinality(taken) + 1];
            taken := taken || urgent.id;
            IF urgent.resource_key IS NULL THEN
                plain := plain || urgent.id;
            ELSE
                lined := lined || urgent.id;
            END IF;
        END LOOP;
    END IF;

    IF cardinality(taken) > 0 THEN
        PERFORM ring_jobs(displaced);
        RETURN QUERY
            SELECT d, 'displaced', NULL::uuid, NULL::uuid, NULL::bigint, NULL::text, NULL::smallint, NULL::jsonb,
                NULL::integer, NULL::integer, NULL::integer, NULL::integer, NULL::jsonb, NULL::text, NULL::text,
                NULL::uuid, NULL::text, NULL::text, NULL::double precision
            FROM unnest(displaced) d;
        SELECT array_agg(p) INTO plain FROM unnest(plain) p WHERE p <> ALL (displaced);
        SELECT array_agg(j.id ORDER BY j.company_id, j.resource_key, j.priority DESC, j.seq) INTO lined
        FROM jobs_live j WHERE j.id = ANY (lined) AND j.id <> ALL (displaced);
    END IF;

    expires := clock_timestamp() + make_interval(secs => p_lease_seconds);
    RETURN QUERY
        UPDATE jobs_live j
        SET state = 'running', epoch = j.epoch + 1, attempt = j.attempt + 1, lease_owner = p_owner,
            lease_expires_at = expires, started_at = clock_timestamp(), updated_at = clock_timestamp(),
            park_reason = NULL
        WHERE j.id = ANY (plain)
        RETURNING CASE WHEN j.id = ANY (taken) THEN NULL ELSE j.id END, 'claimed', j.id, j.company_id, j.epoch,
            j.kind, j.version, j.payload, j.attempt, j.max_attempts, j.attempt_seconds, j.interruptions,
            j.checkpoint, j.resource_key, j.requested_by, j.batch_id, j.traceparent, j.tracestate,
            extract(epoch FROM clock_timestamp() - j.queued_at)::float8;

    IF lined IS NOT NULL THEN
        FOREACH next IN ARRAY lined LOOP
            SELECT c.outcome, c.job INTO one
            FROM jobs_live j, claim_job(j.id, j.epoch, p_owner, p_lease_seconds) c WHERE j.id = next;
            asked := CASE WHEN next = ANY (taken) THEN NULL ELSE next END;
            outcome := CASE WHEN one.outcome IN ('busy', 'behind') THEN 'waiting' ELSE one.outcome END;
            id := (one.job).id;
            company_id := (one.job).company_id;
            epoch := (one.job).epoch;
            kind := (one.job).kind;
            version := (one.job).version;
            payload := (one.job).payload;
            attempt := (one.job).attempt;
            max_attempts := (one.job).max_attempts;
            attempt_seconds := (one.job).attempt_seconds;
            interruptions := (one.job).interruptions;
            checkpoint := (one.job).checkpoint;
            resource_key := (one.job).resource_key;
            requested_by := (one.job).requested_by;
            batch_id := (one.job).batch_id;
            traceparent := (one.job).traceparent;
            tracestate := (one.job).tracestate;
            waited := extract(epoch FROM clock_timestamp() - (one.job).queued_at)::float8;
            RETURN NEXT;
        END LOOP;
    END IF;

    -- What is left, bell by bell; usually nothing.
    FOR one IN
        SELECT a.id, j.company_id, CASE
            WHEN j.id IS NULL THEN 'gone'
            WHEN j.epoch <> a.epoch OR j.state <> 'queued' THEN 'stale'
            WHEN j.id <> ALL (coalesce(seen, '{}')) THEN 'locked'
            WHEN j.cancel_requested THEN 'cancelled'
            ELSE 'expired' END AS verdict
        FROM unnest(p_ids, p_epochs) AS a (id, epoch)
        LEFT JOIN LATERAL (
            SELECT j.id, j.company_id, j.epoch, j.state, j.cancel_requested
            FROM jobs_live j WHERE j.id = a.id LIMIT 1
        ) j ON true
        WHERE a.id <> ALL (coalesce(plain, '{}')) AND a.id <> ALL (coalesce(lined, '{}'))
            AND a.id <> ALL (displaced)
    LOOP
        IF one.verdict = 'locked' THEN
            PERFORM ring_jobs(ARRAY[one.id]);
        END IF;
        RETURN QUERY
            SELECT one.id, one.verdict, one.id, one.company_id, NULL::bigint, NULL::text, NULL::smallint,
                NULL::jsonb, NULL::integer, NULL::integer, NULL::integer, NULL::integer, NULL::jsonb, NULL::text,
                NULL::text, NULL::uuid, NULL::text, NULL::text, NULL::double precision;
    END LOOP;
END
$$;

-- Ends a running attempt: moves the job to the finished ones, gives its resource back and rings the next in
-- line. False when the attempt no longer owns the job.
CREATE FUNCTION finish_job(p_id uuid, p_epoch bigint, p_state text, p_result jsonb) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    ended record;
BEGIN
    WITH gone AS (
        DELETE FROM jobs_live WHERE id = p_id AND epoch = p_epoch AND state = 'running'
            AND lease_expires_at > clock_timestamp()
        RETURNING *
    ), kept AS (
        INSERT INTO jobs_finished (id, company_id, seq, kind, version, queue, payload, dedupe_key,
            resource_key, priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at,
            deadline, attempt_seconds, lease_owner, started_at, progress_done, progress_total,
            progress_unit, result, errors, error_fingerprint, first_failed_at, cancel_requested, batch_id,
            requested_by, traceparent, tracestate, created_at, updated_at, finished_at)
        SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority, p_state,
            attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline, attempt_seconds,
            lease_owner, started_at, progress_done, progress_total, progress_unit, p_result, errors,
            error_fingerprint, first_failed_at, cancel_requested, batch_id, requested_by, traceparent,
            tracestate, created_at, clock_timestamp(), clock_timestamp()
        FROM gone
    )
    SELECT company_id, resource_key INTO ended FROM gone;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF ended.resource_key IS NOT NULL THEN
        PERFORM release_resource(ended.company_id, ended.resource_key, p_id);
    END IF;
    RETURN true;
END
$$;

-- finish_job, or an error that undoes the transaction: for the caller that sends its COMMIT along.
CREATE FUNCTION finish_job_or_fail(p_id uuid, p_epoch bigint, p_state text, p_result jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT finish_job(p_id, p_epoch, p_state, p_result) THEN
        RAISE EXCEPTION 'job % is no longer held at epoch %', p_id, p_epoch USING ERRCODE = 'SJ001';
    END IF;
END
$$;

-- Ends many running attempts as succeeded; returns those that were still owned. The caller rolls back when
-- one is missing.
CREATE FUNCTION finish_jobs(p_ids uuid[], p_epochs bigint[], p_results jsonb[]) RETURNS SETOF uuid
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        WITH gone AS (
            DELETE FROM jobs_live j USING unnest(p_ids, p_epochs, p_results) AS a (id, epoch, result)
            WHERE j.id = ANY (p_ids) AND j.id = a.id AND j.epoch = a.epoch AND j.state = 'running'
                AND j.lease_expires_at > clock_timestamp()
            RETURNING j.*, a.result AS outcome
        ), kept AS (
            INSERT INTO jobs_finished (id, company_id, seq, kind, version, queue, payload, dedupe_key,
                resource_key, priority, state, attempt, max_attempts, epoch, interruptions, run_at, queued_at,
                deadline, attempt_seconds, lease_owner, started_at, progress_done, progress_total,
                progress_unit, result, errors, error_fingerprint, first_failed_at, cancel_requested, batch_id,
                requested_by, traceparent, tracestate, created_at, updated_at, finished_at)
            SELECT id, company_id, seq, kind, version, queue, payload, dedupe_key, resource_key, priority,
                'succeeded', attempt, max_attempts, epoch, interruptions, run_at, queued_at, deadline,
                attempt_seconds, lease_owner, started_at, progress_done, progress_total, progress_unit,
                outcome, errors, error_fingerprint, first_failed_at, cancel_requested, batch_id, requested_by,
                traceparent, tracestate, created_at, clock_timestamp(), clock_timestamp()
            FROM gone
        )
        SELECT id, company_id, resource_key FROM gone ORDER BY company_id, resource_key
    LOOP
        IF one.resource_key IS NOT NULL THEN
            PERFORM release_resource(one.company_id, one.resource_key, one.id);
        END IF;
        RETURN NEXT one.id;
    END LOOP;
END
$$;

-- Extends the leases of running jobs and of their resources. beat: alive, cancel (alive, and someone asked for
-- cancellation), busy (its row is being written right now, ask again soon), lost.
CREATE FUNCTION beat_jobs(p_ids uuid[], p_epochs bigint[], p_lease_seconds integer)
RETURNS TABLE (id uuid, beat text)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    held uuid[];
    companies uuid[];
    resources text[];
    expires timestamptz;
BEGIN
    -- Never waits for a job's own commit, which would hold up the beats of all the others.
    SELECT array_agg(j.id), array_agg(j.company_id) FILTER (WHERE j.resource_key IS NOT NULL),
        array_agg(j.resource_key) FILTER (WHERE j.resource_key IS NOT NULL)
    INTO held, companies, resources
    FROM unnest(p_ids, p_epochs) AS a (id, epoch), LATERAL (
        SELECT j.id, j.company_id, j.resource_key FROM jobs_live j
        WHERE j.id = a.id AND j.epoch = a.epoch AND j.state = 'running'
            AND j.lease_expires_at > clock_timestamp()
        LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    ) j;
    IF resources IS NOT NULL THEN
        -- In the order in which claims lock them.
        PERFORM 1 FROM resource_leases r, unnest(companies, resources) AS k (company_id, resource_key)
        WHERE r.company_id = k.company_id AND r.resource_key = k.resource_key
        ORDER BY r.company_id, r.resource_key FOR NO KEY UPDATE OF r;
    END IF;
    expires := clock_timestamp() + make_interval(secs => p_lease_seconds);
    IF resources IS NOT NULL THEN
        UPDATE resource_leases r SET expires_at = expires
        FROM unnest(companies, resources) AS k (company_id, resource_key)
        WHERE r.company_id = k.company_id AND r.resource_key = k.resource_key AND r.job_id = ANY (held);
    END IF;
    RETURN QUERY
        UPDATE jobs_live j SET lease_expires_at = expires WHERE j.id = ANY (held)
        RETURNING j.id, CASE WHEN j.cancel_requested THEN 'cancel' ELSE 'alive' END;
    RETURN QUERY
        SELECT a.id, CASE WHEN EXISTS (
            SELECT FROM jobs_live j WHERE j.id = a.id AND j.epoch = a.epoch AND j.state = 'running'
        ) THEN 'busy' ELSE 'lost' END
        FROM unnest(p_ids, p_epochs) AS a (id, epoch)
        WHERE a.id <> ALL (coalesce(held, '{}'));
END
$$;
