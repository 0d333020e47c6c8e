-- Tenants, roles and row-level security.
--
-- syncline_app       what services connect as (or a member of it): sees one company per transaction.
-- syncline_dispatch  what the dispatch statements switch to with SET LOCAL ROLE: the job tables of all
--                    companies, and nothing else of theirs.
-- Roles belong to the cluster, so they may exist already; creating them needs CREATEROLE.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'syncline_dispatch') THEN
        CREATE ROLE syncline_dispatch NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'syncline_app') THEN
        CREATE ROLE syncline_app NOLOGIN NOINHERIT;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_auth_members m
        JOIN pg_roles parent ON parent.oid = m.roleid AND parent.rolname = 'syncline_dispatch'
        JOIN pg_roles child ON child.oid = m.member AND child.rolname = 'syncline_app'
    ) THEN
        GRANT syncline_dispatch TO syncline_app;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    -- Another migration run created the roles between the check and the statement.
    NULL;
END
$$;

-- The company of the current transaction; NULL (and so no row) when none is set.
CREATE FUNCTION app_company_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.company_id', true), '')::uuid;

CREATE FUNCTION app_user_id() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.user_id', true), '');

-- Forces row-level security on a table with a company_id column. Every migration that creates a tenant
-- table calls this; a test enumerates the catalogue and fails on a table without it.
CREATE FUNCTION protect_tenant_table(tenant_table regclass, dispatched boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
        'CREATE POLICY tenant ON %s TO PUBLIC USING (company_id = (SELECT app_company_id())) '
        'WITH CHECK (company_id = (SELECT app_company_id()))', tenant_table);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO syncline_app', tenant_table);
    IF dispatched THEN
        EXECUTE format(
            'CREATE POLICY dispatch ON %s TO syncline_dispatch USING (true) WITH CHECK (true)', tenant_table);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO syncline_dispatch', tenant_table);
    END IF;
END
$$;

CREATE TABLE companies (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE companies IS 'Organizations; the tenant boundary. An organization of the API is a row here.';
ALTER TABLE companies ENABLE ROW LEVEL SECURITY;
ALTER TABLE companies FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON companies TO PUBLIC
    USING (id = (SELECT app_company_id())) WITH CHECK (id = (SELECT app_company_id()));
CREATE POLICY dispatch ON companies FOR SELECT TO syncline_dispatch USING (true);
GRANT SELECT, INSERT, UPDATE ON companies TO syncline_app;
GRANT SELECT ON companies TO syncline_dispatch;

CREATE TABLE company_users (
    company_id uuid NOT NULL REFERENCES companies,
    user_id text NOT NULL,
    email text,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin', 'owner')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, user_id)
);
SELECT protect_tenant_table('company_users');

CREATE TABLE idempotency_keys (
    company_id uuid NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL,
    status smallint NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, key)
);
COMMENT ON TABLE idempotency_keys IS 'Answers of POST requests that carried an Idempotency-Key.';
SELECT protect_tenant_table('idempotency_keys');

-- Newest applied migration, readable by every role: services wait until the schema is new enough.
CREATE FUNCTION schema_version() RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
BEGIN
    RETURN (SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success);
END
$$;
