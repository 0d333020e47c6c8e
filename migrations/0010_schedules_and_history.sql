-- Schedules that people see and change, and history that leaves by dropping partitions.

ALTER TABLE schedules
    -- The job of an occurrence starts up to this much later, by a share that the occurrence decides.
    ADD COLUMN jitter_seconds integer NOT NULL DEFAULT 0 CHECK (jitter_seconds BETWEEN 0 AND 86400),
    ADD COLUMN description text NOT NULL DEFAULT '',
    -- What the user in updated_by gave as the reason.
    ADD COLUMN updated_reason text;

ALTER TABLE schedule_runs
    -- Occurrences that the row stands for: more than one where too many were missed for a row each.
    ADD COLUMN covers bigint NOT NULL DEFAULT 1 CHECK (covers > 0),
    DROP CONSTRAINT schedule_runs_status_check,
    ADD CONSTRAINT schedule_runs_status_check
        CHECK (status IN ('enqueued', 'skipped', 'succeeded', 'failed', 'cancelled'));
COMMENT ON COLUMN schedule_runs.status IS
    'enqueued: its job is not over; succeeded, failed, cancelled: how it ended; skipped: none of its own.';
COMMENT ON COLUMN schedule_runs.reason IS
    'Why it ran: due, catch_up, dst_gap (the clock skipped its time of day), manual. '
    'Why it did not: missed, superseded, paused, overlap (the job in job_id still waited), changed, invalid.';
UPDATE schedule_runs SET reason = 'paused' WHERE reason = 'disabled';
UPDATE schedule_runs SET reason = 'due' WHERE reason IS NULL AND status = 'enqueued';
-- Runs whose job is not over, to be settled.
CREATE INDEX schedule_runs_open ON schedule_runs (job_id) WHERE status = 'enqueued';

-- What has an age leaves by it.
CREATE INDEX schedule_runs_age ON schedule_runs (start_time);
CREATE INDEX webhook_receipts_age ON webhook_receipts (received_at);
CREATE INDEX broker_dead_letters_age ON broker_dead_letters (archived_at);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE INDEX jobs_finished_rest_age ON jobs_finished_rest (finished_at);
-- Counting dead letters by kind reads this index alone.
CREATE INDEX jobs_dead_kind ON jobs_dead (company_id, kind);

-- Makes the weekly partitions of jobs_finished, this week's and `p_weeks` ahead, one step for each call: returns
-- what it did, NULL when nothing is left to do. Call it in a transaction of its own, so that no lock outlives its
-- step.
--
-- Attaching a partition locks the default partition and reads all of it, to see that no row belongs to the new
-- one. A large default partition gets a validated constraint first (validating blocks nobody), after which the
-- attaching has nothing to read. A week with rows in the default partition keeps them there until they are purged.
CREATE FUNCTION extend_job_history(p_weeks integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    -- Who waits for a lock makes others wait behind him.
    SET lock_timeout = '300ms'
    AS $$
DECLARE
    begins timestamptz;
    ends timestamptz;
    part text;
    fence text;
    validated boolean;
BEGIN
    IF p_weeks NOT BETWEEN 0 AND 52 THEN
        RAISE EXCEPTION 'weeks ahead must be 0 to 52, got %', p_weeks USING ERRCODE = '22023';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('job history', 7310)) THEN
        RETURN NULL;
    END IF;
    FOR week IN 0..p_weeks LOOP
        begins := date_trunc('week', clock_timestamp(), 'UTC') + week * interval '168 hours';
        ends := begins + interval '168 hours';
        part := 'jobs_finished_' || to_char(begins AT TIME ZONE 'UTC', 'YYYYMMDD');
        fence := part || '_elsewhere';
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        SELECT convalidated INTO validated FROM pg_constraint
        WHERE conrelid = 'public.jobs_finished_rest'::regclass AND conname = fence;
        IF NOT FOUND THEN
            CONTINUE WHEN EXISTS (
                SELECT FROM public.jobs_finished_rest WHERE finished_at >= begins AND finished_at < ends);
            IF EXISTS (SELECT FROM public.jobs_finished_rest OFFSET 10000) THEN
                -- Rows of this week may come at any moment: it cannot be fenced off before it is attached.
                CONTINUE WHEN week = 0;
                EXECUTE format(
                    'ALTER TABLE public.jobs_finished_rest ADD CONSTRAINT %I CHECK '
                    '(finished_at IS NULL OR finished_at < %L OR finished_at >= %L) NOT VALID', fence, begins, ends);
                RETURN 'fenced ' || part;
            END IF;
        ELSIF NOT validated THEN
            EXECUTE format('ALTER TABLE public.jobs_finished_rest VALIDATE CONSTRAINT %I', fence);
            RETURN 'validated ' || part;
        END IF;
        BEGIN
            EXECUTE format('CREATE TABLE public.%I (LIKE public.jobs_finished INCLUDING ALL)', part);
            PERFORM public.protect_tenant_table(format('public.%I', part)::regclass, true);
            EXECUTE format(
                'ALTER TABLE public.jobs_finished ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                part, begins, ends);
            EXECUTE format('ALTER TABLE public.jobs_finished_rest DROP CONSTRAINT IF EXISTS %I', fence);
        EXCEPTION WHEN check_violation THEN
            -- A job of this week finished since we looked.
            CONTINUE;
        END;
        RETURN 'attached ' || part;
    END LOOP;
    RETURN NULL;
END
$$;

-- Drops the oldest weekly partition whose jobs all finished more than `p_days` ago; returns its name, NULL when
-- there is none.
CREATE FUNCTION drop_job_history(p_days integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '300ms'
    AS $$
DECLARE
    part text;
BEGIN
    IF p_days < 1 THEN
        RAISE EXCEPTION 'days kept must be 1 or more, got %', p_days USING ERRCODE = '22023';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('job history', 7310)) THEN
        RETURN NULL;
    END IF;
    SELECT c.relname INTO part
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.jobs_finished'::regclass AND c.relname ~ '^jobs_finished_[0-9]{8}$'
        AND to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + interval '168 hours'
            <= clock_timestamp() - p_days * interval '24 hours'
    ORDER BY c.relname LIMIT 1;
    IF part IS NOT NULL THEN
        EXECUTE format('DROP TABLE public.%I', part);
    END IF;
    RETURN part;
END
$$;

REVOKE ALL ON FUNCTION extend_job_history(integer), drop_job_history(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION extend_job_history(integer), drop_job_history(integer) TO syncline_dispatch;
