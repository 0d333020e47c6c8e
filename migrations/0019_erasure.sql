-- Erasure: sealed records name people by markers; who they are stands here alone, under a key of their own.

-- One row per person and organization, made when a record that names them is sealed. Erased: no key, no name, and
-- nothing to find the row by.
CREATE TABLE audit_subjects (
    id uuid PRIMARY KEY,
    chain_id uuid NOT NULL GENERATED ALWAYS AS
        (coalesce(company_id, '00000000-0000-0000-0000-000000000000'::uuid)) STORED,
    company_id uuid,
    -- Key of AUDIT_SUBJECT_KEYS that wraps the data key, and the data key.
    key_id text,
    wrapped bytea,
    -- The name as it was first seen, under the data key.
    name bytea,
    -- HMAC of the normalized name, with the first key at the time.
    lookup bytea CHECK (length(lookup) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at timestamptz,
    erasure_id uuid,
    CHECK ((erased_at IS NULL) = (wrapped IS NOT NULL) AND (erased_at IS NULL) = (name IS NOT NULL)
        AND (erased_at IS NULL) = (lookup IS NOT NULL) AND (erased_at IS NULL) = (key_id IS NOT NULL))
);
COMMENT ON TABLE audit_subjects IS 'Who stands behind the markers <subject:id> of audit records.';
CREATE UNIQUE INDEX audit_subjects_lookup ON audit_subjects (chain_id, lookup) WHERE lookup IS NOT NULL;
CREATE INDEX audit_subjects_key ON audit_subjects (key_id) WHERE key_id IS NOT NULL;
SELECT protect_tenant_table('audit_subjects', true);
REVOKE DELETE, TRUNCATE ON audit_subjects FROM syncline_app, syncline_dispatch;
REVOKE INSERT ON audit_subjects FROM syncline_app;

-- What was asked for. Whom it is about stands here only as HMACs, and not even those once it is done.
CREATE TABLE audit_erasures (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    basis text NOT NULL,
    lookups bytea[] NOT NULL,
    state text NOT NULL CHECK (state IN ('asked', 'done', 'refused')),
    -- Subjects that were erased.
    erased integer,
    job_id uuid,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    CHECK ((state = 'asked') = (ended_at IS NULL) AND (state = 'asked' OR lookups = '{}'))
);
CREATE INDEX audit_erasures_time ON audit_erasures (company_id, asked_at DESC, id DESC);
SELECT protect_tenant_table('audit_erasures');
REVOKE DELETE, TRUNCATE ON audit_erasures FROM syncline_app;

ALTER TABLE audit_retention_runs DROP CONSTRAINT audit_retention_runs_kind_check;
ALTER TABLE audit_retention_runs ADD CONSTRAINT audit_retention_runs_kind_check
    CHECK (kind IN ('retention', 'verify', 'restore', 'erase'));

-- Sealing may now replace what names people by markers; everything else stays as it was written.
CREATE OR REPLACE FUNCTION guard_audit_event() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.sequence IS NULL AND NEW.sequence IS NOT NULL
            AND ROW (OLD.id, OLD.company_id, OLD.occurred_at, OLD.role, OLD.action, OLD.request_id, OLD.trace_id,
                     OLD.job_id)
            IS NOT DISTINCT FROM
                ROW (NEW.id, NEW.company_id, NEW.occurred_at, NEW.role, NEW.action, NEW.request_id, NEW.trace_id,
                     NEW.job_id)
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

-- As before, with the members of `p_concealed` (one object per row, or NULL) in the place of what was written.
CREATE FUNCTION seal_audit_events(
    p_chain uuid, p_from bigint, p_ids uuid[], p_times timestamptz[], p_hashes bytea[], p_key text,
    p_concealed jsonb[]
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    sealed bigint;
BEGIN
    UPDATE public.audit_events e SET sequence = p_from + r.place, hash = r.hash, key_id = p_key,
        actor = coalesce(r.c ->> 'actor', e.actor), address = coalesce(r.c ->> 'address', e.address),
        resource = coalesce(r.c ->> 'resource', e.resource), reason = coalesce(r.c ->> 'reason', e.reason),
        changes = coalesce(r.c -> 'changes', e.changes), details = coalesce(r.c -> 'details', e.details)
    FROM unnest(p_ids, p_times, p_hashes, p_concealed) WITH ORDINALITY AS r (id, at, hash, c, place)
    WHERE e.id = r.id AND e.occurred_at = r.at AND e.chain_id = p_chain AND e.sequence IS NULL;
    GET DIAGNOSTICS sealed = ROW_COUNT;
    IF sealed <> cardinality(p_ids) THEN
        RAISE EXCEPTION 'only % of % audit records could be sealed', sealed, cardinality(p_ids) USING ERRCODE = '40001';
    END IF;
    RETURN sealed;
END
$$;
REVOKE ALL ON FUNCTION seal_audit_events(uuid, bigint, uuid[], timestamptz[], bytea[], text, jsonb[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION seal_audit_events(uuid, bigint, uuid[], timestamptz[], bytea[], text, jsonb[])
    TO syncline_dispatch;

-- How long the rest stays, by organization; without a row, as the nightly jobs say.
CREATE TABLE retention_rules (
    company_id uuid NOT NULL,
    what text NOT NULL CHECK (what IN ('deleted', 'sync_history', 'quarantine', 'notifications', 'ended_channels')),
    days integer NOT NULL CHECK (days BETWEEN 1 AND 36500),
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (company_id, what)
);
COMMENT ON TABLE retention_rules IS 'Days after which what is no audit record leaves, where an organization chose.';
SELECT protect_tenant_table('retention_rules');
