-- Cursors, subscriptions, receipts, history, quarantine, parked runs.

CREATE TABLE microsoft_sync_state (
    company_id uuid NOT NULL REFERENCES companies,
    -- Owner of the mailbox or calendar; empty for drives.
    user_id text NOT NULL DEFAULT '',
    resource_type text NOT NULL CHECK (resource_type IN ('messages', 'events', 'drive', 'teams')),
    -- Drive, folder, channel or calendar id.
    resource_id text NOT NULL,
    -- Delta link of the last complete round; opaque.
    delta_link text,
    -- Earlier good links, newest first, at most three.
    earlier_links text[] NOT NULL DEFAULT '{}',
    -- The round in progress: state of the walk after the last stored page.
    walk jsonb,
    items bigint NOT NULL DEFAULT 0,
    last_run_at timestamptz,
    last_success_at timestamptz,
    last_error text,
    consecutive_failures integer NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, resource_type, resource_id, user_id)
);
SELECT protect_tenant_table('microsoft_sync_state');

CREATE TABLE microsoft_subscriptions (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    -- Graph's id; NULL between our commit and Graph's answer.
    subscription_id text,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    notification_url text,
    -- SHA-256 of the clientState; the state itself is not kept.
    client_state_sha256 bytea NOT NULL,
    expires_at timestamptz,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'active', 'removed')),
    last_notification_at timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX microsoft_subscriptions_graph_id ON microsoft_subscriptions (subscription_id)
    WHERE subscription_id IS NOT NULL;
CREATE INDEX microsoft_subscriptions_resource
    ON microsoft_subscriptions (company_id, resource_type, resource_id, state);
CREATE INDEX microsoft_subscriptions_client_state ON microsoft_subscriptions (client_state_sha256);
SELECT protect_tenant_table('microsoft_subscriptions', true);

CREATE TABLE webhook_receipts (
    id uuid NOT NULL,
    -- NULL while the subscription is unknown; such rows are visible to the dispatch role alone.
    company_id uuid,
    provider text NOT NULL,
    subscription_id text,
    resource text,
    change_type text,
    -- accepted, unknown (subscription not known yet), refused (clientState does not match)
    result text NOT NULL CHECK (result IN ('accepted', 'unknown', 'refused')),
    job_id uuid,
    body jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
);
CREATE INDEX webhook_receipts_unknown ON webhook_receipts (received_at) WHERE result = 'unknown';
SELECT protect_tenant_table('webhook_receipts', true);

CREATE TABLE sync_history (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    source text NOT NULL,
    triggered_by text NOT NULL,
    job_id uuid,
    batch_id uuid,
    drive_id text,
    ao_id text,
    status text NOT NULL CHECK (status IN ('running', 'success', 'error')),
    full_enumeration boolean NOT NULL DEFAULT false,
    forced boolean NOT NULL DEFAULT false,
    total_aos integer NOT NULL DEFAULT 0,
    documents_added bigint NOT NULL DEFAULT 0,
    documents_updated bigint NOT NULL DEFAULT 0,
    documents_deleted bigint NOT NULL DEFAULT 0,
    provider_calls bigint NOT NULL DEFAULT 0,
    errors jsonb NOT NULL DEFAULT '[]',
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    duration_ms bigint
);
CREATE INDEX sync_history_recent ON sync_history (company_id, source, started_at DESC);
CREATE UNIQUE INDEX sync_history_job ON sync_history (job_id);
SELECT protect_tenant_table('sync_history');

CREATE TABLE sync_quarantine (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    source text NOT NULL,
    resource_id text NOT NULL,
    item_id text NOT NULL DEFAULT '',
    -- poison, cycle, missing_parent, malware, duplicate_ao_reference, name_collision, foreign_document
    code text NOT NULL,
    reason text NOT NULL,
    raw text,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved')),
    occurrences integer NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    CONSTRAINT sync_quarantine_item_unique UNIQUE (company_id, source, resource_id, item_id, code)
);
CREATE INDEX sync_quarantine_open ON sync_quarantine (company_id, last_seen_at DESC) WHERE state = 'open';
SELECT protect_tenant_table('sync_quarantine');

-- Runs stopped by the mass-change breaker until a person decides.
CREATE TABLE sync_parked (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL,
    source text NOT NULL,
    resource_id text NOT NULL,
    job_id uuid,
    existing bigint NOT NULL,
    would_delete bigint NOT NULL,
    sample jsonb NOT NULL DEFAULT '[]',
    reason text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'rejected')),
    decided_by text,
    decided_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX sync_parked_pending ON sync_parked (company_id, source, resource_id)
    WHERE state = 'pending';
SELECT protect_tenant_table('sync_parked');

CREATE TABLE sync_settings (
    company_id uuid PRIMARY KEY REFERENCES companies,
    enabled_sources text[] NOT NULL DEFAULT '{onedrive}',
    conflict_policy text NOT NULL DEFAULT 'newest_wins'
        CHECK (conflict_policy IN ('newest_wins', 'app_wins', 'provider_wins')),
    excel_mapping jsonb NOT NULL DEFAULT '{}',
    -- A run that would remove more than this share of the documents, and at least the minimum, is parked.
    mass_change_share real NOT NULL DEFAULT 0.3 CHECK (mass_change_share > 0 AND mass_change_share <= 1),
    mass_change_minimum integer NOT NULL DEFAULT 50 CHECK (mass_change_minimum >= 0),
    updated_by text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_table('sync_settings');
