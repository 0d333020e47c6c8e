-- The audit trail that proves itself: sealed into a gap-free chain per organization, partitioned by month, with
-- checkpoints, archives, policies and the record of what retention did.

ALTER TABLE audit_events RENAME TO audit_events_before;
ALTER INDEX audit_events_pkey RENAME TO audit_events_before_pkey;
ALTER INDEX audit_events_time RENAME TO audit_events_before_time;
ALTER INDEX audit_events_resource RENAME TO audit_events_before_resource;

-- Written in the transaction of the change, with `sequence` NULL; sealed within moments by audit-retention, which
-- sets sequence, key_id and hash and nothing else. Nothing else about a row ever changes (triggers below).
CREATE TABLE audit_events (
    id uuid NOT NULL,
    -- NULL for what belongs to no organization (a message that nobody could read): visible to the dispatch role alone.
    company_id uuid,
    -- Whose chain it is in: the company, or the zero UUID for what belongs to none.
    chain_id uuid NOT NULL GENERATED ALWAYS AS
        (coalesce(company_id, '00000000-0000-0000-0000-000000000000'::uuid)) STORED,
    sequence bigint CHECK (sequence > 0),
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Subject of the token, or the service that acted by itself.
    actor text NOT NULL,
    role text NOT NULL,
    -- Network address of who acted.
    address text,
    -- Such as `dead_letter.retry`; the first word is the record class of the retention policies.
    action text NOT NULL,
    -- Such as `job:<id>`.
    resource text NOT NULL,
    reason text,
    request_id text,
    trace_id text,
    job_id uuid,
    -- Member by member {before, after}, secrets redacted.
    changes jsonb,
    details jsonb NOT NULL DEFAULT '{}',
    -- Key of AUDIT_HMAC_KEYS that sealed it, and HMAC(key, hash before || sequence || canonical record).
    key_id text,
    hash bytea CHECK (length(hash) = 32),
    PRIMARY KEY (id, occurred_at),
    CHECK ((sequence IS NULL) = (hash IS NULL) AND (sequence IS NULL) = (key_id IS NULL))
) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE audit_events IS 'Who did what, and why; append-only, sealed into a chain per organization.';
CREATE INDEX audit_events_time ON audit_events (company_id, occurred_at DESC);
CREATE INDEX audit_events_resource ON audit_events (resource, occurred_at DESC);
CREATE INDEX audit_events_chain ON audit_events (chain_id, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_events_unsealed ON audit_events (chain_id, occurred_at, id) WHERE sequence IS NULL;
SELECT protect_tenant_table('audit_events', true);
REVOKE UPDATE, DELETE, TRUNCATE ON audit_events FROM syncline_app, syncline_dispatch;
-- The functions below work as the owner, for all organizations.
CREATE POLICY maintenance ON audit_events TO CURRENT_USER USING (true) WITH CHECK (true);

-- Head of each chain and its tree, in one row: its lock is the order in which records are sealed.
CREATE TABLE audit_chains (
    chain_id uuid PRIMARY KEY,
    company_id uuid,
    size bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000',
    -- Roots of the complete subtrees, largest first, 32 bytes each.
    frontier bytea NOT NULL DEFAULT '',
    checkpoint bigint NOT NULL DEFAULT 0,
    checkpoint_at timestamptz,
    -- The newest checkpoint as it was published outside of the database; behind `checkpoint` while the store is away.
    published bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
SELECT protect_tenant_table('audit_chains', true);
REVOKE DELETE, TRUNCATE ON audit_chains FROM syncline_app, syncline_dispatch;
REVOKE INSERT, UPDATE ON audit_chains FROM syncline_app;

-- Signed notes (c2sp.org/tlog-checkpoint), numbered without gaps.
CREATE TABLE audit_checkpoints (
    chain_id uuid NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    company_id uuid,
    size bigint NOT NULL,
    note text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (chain_id, number)
);
SELECT protect_tenant_table('audit_checkpoints', true);
REVOKE UPDATE, DELETE, TRUNCATE ON audit_checkpoints FROM syncline_app, syncline_dispatch;
REVOKE INSERT ON audit_checkpoints FROM syncline_app;

-- How long records stay, by class; '*' for every class without a row. Without any row: 90 days, then 365.
CREATE TABLE audit_policies (
    company_id uuid NOT NULL,
    class text NOT NULL,
    archive_after_days integer NOT NULL CHECK (archive_after_days >= 0),
    purge_after_days integer CHECK (purge_after_days >= archive_after_days),
    legal_hold boolean NOT NULL DEFAULT false,
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (company_id, class)
);
SELECT protect_tenant_table('audit_policies', true);

-- Whether retention may purge; paused by a person, or by itself when integrity failed.
CREATE TABLE audit_retention_state (
    company_id uuid PRIMARY KEY,
    paused boolean NOT NULL,
    because text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
SELECT protect_tenant_table('audit_retention_state', true);
CREATE POLICY maintenance ON audit_retention_state FOR SELECT TO CURRENT_USER USING (true);

CREATE TABLE audit_retention_runs (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    job_id uuid,
    -- retention, verify, restore
    kind text NOT NULL CHECK (kind IN ('retention', 'verify', 'restore')),
    state text NOT NULL CHECK (state IN ('running', 'succeeded', 'failed')),
    dry_run boolean NOT NULL DEFAULT false,
    requested_by text NOT NULL,
    result jsonb,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE INDEX audit_retention_runs_time ON audit_retention_runs (company_id, started_at DESC, id DESC);
CREATE UNIQUE INDEX audit_retention_runs_job ON audit_retention_runs (job_id);
SELECT protect_tenant_table('audit_retention_runs');
REVOKE DELETE, TRUNCATE ON audit_retention_runs FROM syncline_app;

-- Ranges of a chain in object storage. planned -> uploaded -> verified -> purging -> purged
CREATE TABLE audit_archives (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    first_sequence bigint NOT NULL CHECK (first_sequence > 0),
    last_sequence bigint NOT NULL,
    records bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('planned', 'uploaded', 'verified', 'purging', 'purged')),
    -- primary or fallback, and the object's path below it
    store text CHECK (store IN ('primary', 'fallback')),
    path text NOT NULL,
    -- The signed manifest as it was uploaded, and its SHA-256.
    manifest text,
    manifest_sha256 bytea,
    bytes bigint,
    -- Also in the primary store, since this moment, after it had gone to the fallback.
    reconciled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    verified_at timestamptz,
    purged_at timestamptz,
    CHECK (last_sequence >= first_sequence AND records = last_sequence - first_sequence + 1),
    CHECK (state = 'planned' OR (store IS NOT NULL AND manifest IS NOT NULL)),
    UNIQUE (company_id, first_sequence)
);
SELECT protect_tenant_table('audit_archives', true);
REVOKE DELETE, TRUNCATE ON audit_archives FROM syncline_app, syncline_dispatch;
CREATE POLICY maintenance ON audit_archives FOR SELECT TO CURRENT_USER USING (true);

-- What retention did, step by step.
CREATE TABLE audit_retention_events (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    run_id uuid,
    archive_id uuid,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- archive.uploaded, archive.verified, archive.fallback, archive.reconciled, purge.done, purge.paused,
    -- integrity.failed, verify.done, restore.done, ...
    event text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    trace_id text
);
CREATE INDEX audit_retention_events_time ON audit_retention_events (company_id, occurred_at DESC, id DESC);
SELECT protect_tenant_table('audit_retention_events', true);
REVOKE UPDATE, DELETE, TRUNCATE ON audit_retention_events FROM syncline_app, syncline_dispatch;

-- Records of an archive, brought back to be read; never part of the chain again.
CREATE TABLE audit_restored (
    company_id uuid NOT NULL,
    archive_id uuid NOT NULL,
    sequence bigint NOT NULL,
    record jsonb NOT NULL,
    restored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (archive_id, sequence)
);
SELECT protect_tenant_table('audit_restored');

-- Refuses every change but the sealing of a row that is not sealed, and the removal of what a verified archive holds.
CREATE FUNCTION guard_audit_event() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.sequence IS NULL AND NEW.sequence IS NOT NULL
            AND ROW (OLD.id, OLD.company_id, OLD.occurred_at, OLD.actor, OLD.role, OLD.address, OLD.action,
                     OLD.resource, OLD.reason, OLD.request_id, OLD.trace_id, OLD.job_id, OLD.changes, OLD.details)
            IS NOT DISTINCT FROM
                ROW (NEW.id, NEW.company_id, NEW.occurred_at, NEW.actor, NEW.role, NEW.address, NEW.action,
                     NEW.resource, NEW.reason, NEW.request_id, NEW.trace_id, NEW.job_id, NEW.changes, NEW.details)
        THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM public.audit_archives a
        WHERE a.id = nullif(current_setting('syncline.audit_purge', true), '')::uuid AND a.state = 'purging'
            AND a.company_id = OLD.company_id AND OLD.sequence BETWEEN a.first_sequence AND a.last_sequence)
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit records are append-only: % of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = '42501';
END
$$;
CREATE FUNCTION refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'audit records are append-only: % of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = '42501';
END
$$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION guard_audit_event();
CREATE TRIGGER keep BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_retention_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE TABLE audit_events_rest PARTITION OF audit_events DEFAULT;
SELECT protect_tenant_table('audit_events_rest', true);
REVOKE ALL ON audit_events_rest FROM syncline_app, syncline_dispatch;
CREATE POLICY maintenance ON audit_events_rest TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE TRIGGER keep BEFORE TRUNCATE ON audit_events_rest
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- Makes the partition of a month unless it is there; rows that the default partition holds of it stay there.
CREATE FUNCTION extend_audit_events(p_months integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '300ms'
    AS $$
DECLARE
    begins timestamptz;
    part text;
BEGIN
    IF p_months NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'months ahead must be 0 to 24, got %', p_months USING ERRCODE = '22023';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('audit partitions', 7315)) THEN
        RETURN NULL;
    END IF;
    FOR month IN 0..p_months LOOP
        begins := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
        begins := ((begins AT TIME ZONE 'UTC') + make_interval(months => month)) AT TIME ZONE 'UTC';
        part := 'audit_events_' || to_char(begins AT TIME ZONE 'UTC', 'YYYYMM');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.audit_events FOR VALUES FROM (%L) TO (%L)',
                part, begins, ((begins AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
        EXCEPTION WHEN check_violation THEN
            CONTINUE;
        END;
        PERFORM public.protect_tenant_table(format('public.%I', part)::regclass, true);
        EXECUTE format('REVOKE ALL ON public.%I FROM syncline_app, syncline_dispatch', part);
        EXECUTE format('CREATE POLICY maintenance ON public.%I TO CURRENT_USER USING (true) WITH CHECK (true)', part);
        EXECUTE format('CREATE TRIGGER keep BEFORE TRUNCATE ON public.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change()', part);
        RETURN part;
    END LOOP;
    RETURN NULL;
END
$$;

-- Drops the oldest monthly partition that is over and has no row any more; its name, NULL when there is none.
CREATE FUNCTION drop_empty_audit_events() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '300ms'
    AS $$
DECLARE
    part text;
    filled boolean;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('audit partitions', 7315)) THEN
        RETURN NULL;
    END IF;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.audit_events'::regclass AND c.relname ~ '^audit_events_[0-9]{6}$'
            AND c.relname < 'audit_events_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMM')
        ORDER BY c.relname LIMIT 24
    LOOP
        -- Nobody adds a row between the look and the drop.
        EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', part);
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', part) INTO filled;
        IF NOT filled THEN
            EXECUTE format('DROP TABLE public.%I', part);
            RETURN part;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- Seals rows of a chain whose head the caller has locked: their places after `p_from`, hashes and key.
CREATE FUNCTION seal_audit_events(
    p_chain uuid, p_from bigint, p_ids uuid[], p_times timestamptz[], p_hashes bytea[], p_key text
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    sealed bigint;
BEGIN
    UPDATE public.audit_events e SET sequence = p_from + r.place, hash = r.hash, key_id = p_key
    FROM unnest(p_ids, p_times, p_hashes) WITH ORDINALITY AS r (id, at, hash, place)
    WHERE e.id = r.id AND e.occurred_at = r.at AND e.chain_id = p_chain AND e.sequence IS NULL;
    GET DIAGNOSTICS sealed = ROW_COUNT;
    IF sealed <> cardinality(p_ids) THEN
        RAISE EXCEPTION 'only % of % audit records could be sealed', sealed, cardinality(p_ids) USING ERRCODE = '40001';
    END IF;
    RETURN sealed;
END
$$;

-- Removes up to `p_limit` records that a verified archive of the transaction's company holds; how many.
CREATE FUNCTION purge_audit_events(p_archive uuid, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    held public.audit_archives%ROWTYPE;
    gone bigint;
BEGIN
    SELECT * INTO held FROM public.audit_archives a
    WHERE a.id = p_archive AND a.company_id = public.app_company_id() AND a.state = 'purging' AND a.verified_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'archive % is not a verified one of this organization', p_archive USING ERRCODE = '42501';
    END IF;
    IF EXISTS (SELECT FROM public.audit_retention_state s WHERE s.company_id = held.company_id AND s.paused) THEN
        RAISE EXCEPTION 'purging is paused' USING ERRCODE = '42501';
    END IF;
    PERFORM set_config('syncline.audit_purge', p_archive::text, true);
    DELETE FROM public.audit_events e WHERE (e.id, e.occurred_at) IN (
        SELECT d.id, d.occurred_at FROM public.audit_events d
        WHERE d.chain_id = held.company_id AND d.sequence BETWEEN held.first_sequence AND held.last_sequence
        ORDER BY d.sequence LIMIT p_limit);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('syncline.audit_purge', '', true);
    RETURN gone;
END
$$;
REVOKE ALL ON FUNCTION extend_audit_events(integer), drop_empty_audit_events(), purge_audit_events(uuid, integer),
    seal_audit_events(uuid, bigint, uuid[], timestamptz[], bytea[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION extend_audit_events(integer), drop_empty_audit_events(),
    seal_audit_events(uuid, bigint, uuid[], timestamptz[], bytea[], text) TO syncline_dispatch;
GRANT EXECUTE ON FUNCTION purge_audit_events(uuid, integer) TO syncline_app;

DO $$
BEGIN
    FOR month IN 0..2 LOOP
        PERFORM extend_audit_events(2);
    END LOOP;
END
$$;

-- What was recorded before takes its place in the new table and is sealed like the rest.
ALTER TABLE audit_events_before NO FORCE ROW LEVEL SECURITY;
INSERT INTO audit_events
    (id, company_id, occurred_at, actor, role, action, resource, reason, request_id, trace_id, details)
SELECT id, company_id, occurred_at, actor, role, action, resource, reason, request_id, trace_id, details
FROM audit_events_before;
DROP TABLE audit_events_before;
