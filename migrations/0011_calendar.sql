-- Calendars: events, connected Google calendars, push channels, the queue of app writes, conflicts, grants.
-- Tables, columns, constraint and indexes that the runbook names keep their names.

-- Whether the user of the transaction is a member of its company with one of these roles.
CREATE FUNCTION app_user_has_role(roles text[]) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (
        SELECT FROM company_users
        WHERE company_id = app_company_id() AND user_id = app_user_id() AND role = ANY (roles)
    );

-- A Google account that an administrator connected: the grant, and nothing of its calendars.
CREATE TABLE calendar_accounts (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    provider text NOT NULL DEFAULT 'google' CHECK (provider IN ('google')),
    -- The provider's stable name of the account (`sub`); a reconnection finds its rows by it.
    subject text NOT NULL CHECK (subject <> ''),
    email text,
    scopes text[] NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'reauth_required', 'revoked')),
    state_reason text,
    -- Grows with every consent: what an older grant was told does not count against a newer one.
    grant_version bigint NOT NULL DEFAULT 1,
    -- The row's own data key, wrapped with the ring's key `token_key_id`; both tokens are sealed with the data key.
    token_key_id text,
    token_data_key bytea,
    refresh_token bytea,
    -- Time-based access: the provider says when the grant ends.
    refresh_expires_at timestamptz,
    access_token bytea,
    access_expires_at timestamptz,
    access_generation bigint NOT NULL DEFAULT 0,
    -- One refresh at a time over all replicas, by a lease on this server's clock.
    refresh_owner uuid,
    refresh_until timestamptz,
    -- quotaExceeded: the account takes no writes until then.
    parked_until timestamptz,
    park_reason text,
    -- Disconnected while the provider did not answer: the revocation is tried again.
    revoke_pending boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT calendar_accounts_subject_unique UNIQUE (company_id, provider, subject),
    CONSTRAINT calendar_accounts_sealed CHECK (
        (refresh_token IS NULL AND access_token IS NULL) OR (token_key_id IS NOT NULL AND token_data_key IS NOT NULL))
);
SELECT protect_tenant_table('calendar_accounts');
CREATE POLICY services_only ON calendar_accounts AS RESTRICTIVE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL) WITH CHECK ((SELECT app_user_id()) IS NULL);

-- A consent that was begun. The state itself is not kept, only its digest.
CREATE TABLE oauth_states (
    state_sha256 bytea PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    provider text NOT NULL DEFAULT 'google',
    -- Who asked, and the digest of the secret that only the asking browser holds.
    user_id text NOT NULL,
    session_sha256 bytea NOT NULL,
    -- PKCE verifier, sealed.
    verifier bytea NOT NULL,
    calendar_id text NOT NULL DEFAULT 'primary',
    sync_direction text NOT NULL DEFAULT 'both',
    expires_at timestamptz NOT NULL,
    consumed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX oauth_states_age ON oauth_states (expires_at);
SELECT protect_tenant_table('oauth_states');
CREATE POLICY services_only ON oauth_states AS RESTRICTIVE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL) WITH CHECK ((SELECT app_user_id()) IS NULL);

-- A calendar that is kept in step.
CREATE TABLE google_calendar_connections (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    account_id uuid NOT NULL REFERENCES calendar_accounts,
    -- Owner of what comes from this calendar (events.user_id).
    user_id text,
    -- One calendar belongs to one company: events_google_calendar_event_unique spans all of them.
    calendar_id text NOT NULL CONSTRAINT google_calendar_connections_calendar_unique UNIQUE,
    summary text,
    time_zone text,
    access_role text,
    enabled boolean NOT NULL DEFAULT true,
    -- End of the access token's life, as the runbook's checks read it.
    expires_at timestamptz,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'reauth_required', 'revoked', 'gone')),
    state_reason text,
    sync_direction text NOT NULL DEFAULT 'both' CHECK (sync_direction IN ('both', 'to_google', 'from_google')),
    -- Where its changes come from: a push channel, polling alone (Google refuses a channel), or nowhere any more.
    push_capability text NOT NULL DEFAULT 'push' CHECK (push_capability IN ('push', 'poll', 'gone')),
    -- Cursor of (company, connection, calendar, parameters): used only with the parameters it was made with.
    sync_token text,
    sync_params_hash text,
    -- The round in progress: state of the cursor after the last stored page.
    sync_walk jsonb,
    -- Number of the newest full enumeration that was begun; rows that it did not see are gone.
    generation bigint NOT NULL DEFAULT 0,
    last_full_at timestamptz,
    last_synced_at timestamptz,
    last_notified_at timestamptz,
    last_error text,
    consecutive_failures integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX google_calendar_connections_account ON google_calendar_connections (account_id);
CREATE INDEX google_calendar_connections_company ON google_calendar_connections (company_id, created_at);
SELECT protect_tenant_table('google_calendar_connections', true);
CREATE POLICY admins_and_owners ON google_calendar_connections AS RESTRICTIVE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL OR (SELECT app_user_has_role('{admin,owner}')))
    WITH CHECK ((SELECT app_user_id()) IS NULL OR (SELECT app_user_has_role('{admin,owner}')));

-- Push channels. The row is committed as `registering` before Google is asked, since Google's first message may
-- overtake its answer; Google's own answer fills resource and expiry.
CREATE TABLE google_calendar_webhooks (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    connection_id uuid NOT NULL REFERENCES google_calendar_connections,
    calendar_id text NOT NULL,
    channel_id text NOT NULL CONSTRAINT google_calendar_webhooks_channel_unique UNIQUE
        CHECK (length(channel_id) BETWEEN 1 AND 64),
    -- SHA-256 of the channel's token; the token itself is not kept.
    token_sha256 bytea NOT NULL,
    resource_id text,
    address text,
    -- Milliseconds since the epoch, as Google counts.
    expiration_timestamp bigint,
    enabled boolean NOT NULL DEFAULT true,
    -- orphaned: nobody can stop it any more, it fires until it expires.
    state text NOT NULL DEFAULT 'registering'
        CHECK (state IN ('registering', 'active', 'replaced', 'stopped', 'orphaned', 'failed')),
    last_message_number bigint,
    last_notification_at timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX google_calendar_webhooks_connection ON google_calendar_webhooks (connection_id, state);
CREATE INDEX google_calendar_webhooks_expiration ON google_calendar_webhooks (expiration_timestamp) WHERE enabled;
SELECT protect_tenant_table('google_calendar_webhooks', true);
CREATE POLICY admins_and_owners ON google_calendar_webhooks AS RESTRICTIVE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL OR (SELECT app_user_has_role('{admin,owner}')))
    WITH CHECK ((SELECT app_user_id()) IS NULL OR (SELECT app_user_has_role('{admin,owner}')));
CREATE POLICY no_user_updates ON google_calendar_webhooks AS RESTRICTIVE FOR UPDATE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL);

CREATE TABLE events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company_id uuid NOT NULL DEFAULT app_company_id() REFERENCES companies,
    user_id text DEFAULT app_user_id(),
    title text,
    description text,
    location text,
    -- Instants; the wall clock is theirs in time_zone. All-day events have dates instead, the end exclusive.
    start_at timestamptz,
    end_at timestamptz,
    start_date date,
    end_date date,
    time_zone text,
    all_day boolean NOT NULL DEFAULT false,
    -- RRULE, EXRULE, RDATE, EXDATE lines of a series.
    recurrence text[],
    attendees jsonb CHECK (attendees IS NULL OR jsonb_typeof(attendees) = 'array'),
    reminders jsonb,
    status text,
    visibility text,
    transparency text,
    color_id text,
    conference jsonb,
    event_type text NOT NULL DEFAULT 'default',
    -- Overrides of a series: its master's Google id, and the immutable original start as Google writes it.
    recurring_event_id text,
    original_start text,
    ical_uid text,
    -- Whom Google mails about the next write: all, externalOnly, none (unset: nobody).
    send_updates text CHECK (send_updates IN ('all', 'externalOnly', 'none')),
    connection_id uuid REFERENCES google_calendar_connections,
    google_calendar_id text,
    google_event_id text,
    google_updated_at timestamptz,
    -- Who wrote the content last. A statement that names this column decides; one that changes content without
    -- naming it is the application's. Save whole rows with 'app'.
    last_update_source text DEFAULT 'app' CHECK (last_update_source IN ('app', 'google')),
    last_synced_at timestamptz,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- What the engine keeps: the provider's etag and last JSON, the count of Google ids that this event has used up, the
    -- enumeration that saw it last.
    provider_etag text,
    raw jsonb,
    incarnation integer NOT NULL DEFAULT 0,
    generation bigint NOT NULL DEFAULT 0,
    -- Grows with every write of the application to the content.
    app_version bigint NOT NULL DEFAULT 0,
    -- Between the triggers of one statement only.
    source_given text,
    -- Who made it. What the provider made is never exported to anywhere else.
    origin text NOT NULL DEFAULT 'app' CHECK (origin IN ('app', 'provider')),
    -- Last write of the application to the content.
    app_changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Master of an exception, when its row is here; the provider's id of it is recurring_event_id.
    series_event_id uuid,
    -- Zone of the end, where it is another than the start's.
    end_time_zone text,
    -- The occurrence as the application copied it when it made an exception of it.
    copied jsonb,
    -- domain::calendar::engine::Link, the link to the provider, whole: ids, last seen state, writes of unknown effect, loop
    -- breaker. google_event_id, provider_etag, google_updated_at, raw and generation repeat parts of it.
    link jsonb,
    CONSTRAINT events_google_calendar_event_unique UNIQUE (google_calendar_id, google_event_id),
    CONSTRAINT events_one_kind_of_time CHECK (start_at IS NULL OR start_date IS NULL)
);
CREATE INDEX idx_events_google_calendar_id ON events (google_calendar_id) WHERE google_calendar_id IS NOT NULL;
CREATE INDEX idx_events_google_event_id ON events (google_event_id) WHERE google_event_id IS NOT NULL;
CREATE INDEX idx_events_google_composite ON events (google_calendar_id, google_event_id, google_updated_at);
CREATE INDEX idx_events_deleted_at ON events (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX idx_events_last_update_source ON events (last_update_source) WHERE last_update_source IS NOT NULL;
CREATE INDEX events_listed ON events (company_id, start_at, id);
CREATE INDEX events_series ON events (google_calendar_id, recurring_event_id) WHERE recurring_event_id IS NOT NULL;
CREATE INDEX events_exceptions ON events (series_event_id) WHERE series_event_id IS NOT NULL;
CREATE INDEX events_ical_uid ON events (google_calendar_id, ical_uid) WHERE ical_uid IS NOT NULL;
-- The planner would take a small share for the whole company; see drive_items.
CREATE INDEX events_swept ON events (connection_id, generation) WHERE google_event_id IS NOT NULL;
SELECT protect_tenant_table('events');
CREATE POLICY own_events ON events AS RESTRICTIVE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL OR (user_id = (SELECT app_user_id())
        AND (SELECT app_user_has_role('{viewer,operator,admin,owner}'))))
    WITH CHECK ((SELECT app_user_id()) IS NULL OR (user_id = (SELECT app_user_id())
        AND (SELECT app_user_has_role('{viewer,operator,admin,owner}'))));

-- Writes of the application that Google has to learn: the outbox of the calendar.
CREATE TABLE google_calendar_sync_queue (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company_id uuid NOT NULL,
    -- No foreign key: the row of a deleted event stays here until Google knows.
    event_id uuid NOT NULL,
    action text NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    -- parked: a person has to act first (reconnect, approve).
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'parked')),
    retry_count integer NOT NULL DEFAULT 0,
    max_retries integer NOT NULL DEFAULT 10,
    error_message text,
    -- Google's answer to the last attempt, whole.
    error_body text,
    connection_id uuid,
    app_version bigint NOT NULL DEFAULT 0,
    -- What a deletion needs once the event's row is gone.
    snapshot jsonb,
    -- Not before.
    run_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Coalescing: one waiting entry per event. One in work is left out, so that an edit meanwhile gets one of its own.
CREATE UNIQUE INDEX google_calendar_sync_queue_waiting ON google_calendar_sync_queue (event_id)
    WHERE status IN ('pending', 'parked');
CREATE INDEX google_calendar_sync_queue_due ON google_calendar_sync_queue (run_at) WHERE status = 'pending';
CREATE INDEX google_calendar_sync_queue_event ON google_calendar_sync_queue (event_id, created_at);
CREATE INDEX google_calendar_sync_queue_status ON google_calendar_sync_queue (company_id, status, created_at);
SELECT protect_tenant_table('google_calendar_sync_queue', true);
CREATE POLICY members_read ON google_calendar_sync_queue AS RESTRICTIVE FOR SELECT TO syncline_app
    USING ((SELECT app_user_id()) IS NULL OR (SELECT app_user_has_role('{viewer,operator,admin,owner}')));
CREATE POLICY no_user_inserts ON google_calendar_sync_queue AS RESTRICTIVE FOR INSERT TO syncline_app
    WITH CHECK ((SELECT app_user_id()) IS NULL);
CREATE POLICY no_user_updates ON google_calendar_sync_queue AS RESTRICTIVE FOR UPDATE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL);
CREATE POLICY no_user_deletes ON google_calendar_sync_queue AS RESTRICTIVE FOR DELETE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL);

-- Edits that lost against another edit of the same field, until a person has seen them.
CREATE TABLE sync_conflicts (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    source text NOT NULL DEFAULT 'google',
    resource_type text NOT NULL DEFAULT 'event',
    event_id uuid,
    connection_id uuid,
    calendar_id text,
    google_event_id text,
    field text NOT NULL,
    base_value jsonb,
    app_value jsonb,
    provider_value jsonb,
    -- Whose value stands now.
    kept text NOT NULL CHECK (kept IN ('app', 'provider')),
    policy text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved')),
    resolved_by text,
    resolved_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sync_conflicts_open ON sync_conflicts (company_id, created_at DESC) WHERE state = 'open';
CREATE INDEX sync_conflicts_event ON sync_conflicts (event_id);
SELECT protect_tenant_table('sync_conflicts');
CREATE POLICY members_read ON sync_conflicts AS RESTRICTIVE FOR SELECT TO syncline_app
    USING ((SELECT app_user_id()) IS NULL OR (SELECT app_user_has_role('{operator,admin,owner}')));
CREATE POLICY no_user_inserts ON sync_conflicts AS RESTRICTIVE FOR INSERT TO syncline_app
    WITH CHECK ((SELECT app_user_id()) IS NULL);
CREATE POLICY no_user_updates ON sync_conflicts AS RESTRICTIVE FOR UPDATE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL);
CREATE POLICY no_user_deletes ON sync_conflicts AS RESTRICTIVE FOR DELETE TO syncline_app
    USING ((SELECT app_user_id()) IS NULL);

-- A statement that names last_update_source decides; this trigger runs for such statements alone.
CREATE FUNCTION events_source_given() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.source_given := coalesce(NEW.last_update_source, 'app');
    RETURN NEW;
END
$$;

-- The engine's own writes (app.write_source = engine, set for its transactions) keep the application's version: that its
-- side had to take the provider's form is no edit.
CREATE FUNCTION events_written() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed boolean;
BEGIN
    IF current_setting('app.write_source', true) = 'engine' THEN
        NEW.last_update_source := coalesce(NEW.source_given, NEW.last_update_source, 'google');
        NEW.source_given := NULL;
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.last_update_source := coalesce(NEW.last_update_source, 'app');
        changed := true;
        NEW.app_version := 0;
    ELSE
        changed := (NEW.title, NEW.description, NEW.location, NEW.start_at, NEW.end_at, NEW.start_date, NEW.end_date,
                NEW.time_zone, NEW.all_day, NEW.recurrence, NEW.attendees, NEW.reminders, NEW.status, NEW.visibility,
                NEW.transparency, NEW.color_id, NEW.conference, NEW.recurring_event_id, NEW.original_start,
                NEW.deleted_at IS NULL)
            IS DISTINCT FROM
            (OLD.title, OLD.description, OLD.location, OLD.start_at, OLD.end_at, OLD.start_date, OLD.end_date,
                OLD.time_zone, OLD.all_day, OLD.recurrence, OLD.attendees, OLD.reminders, OLD.status, OLD.visibility,
                OLD.transparency, OLD.color_id, OLD.conference, OLD.recurring_event_id, OLD.original_start,
                OLD.deleted_at IS NULL);
        IF NEW.source_given IS NULL THEN
            NEW.last_update_source := CASE WHEN changed THEN 'app' ELSE OLD.last_update_source END;
        ELSE
            NEW.last_update_source := NEW.source_given;
        END IF;
        NEW.app_version := OLD.app_version;
        NEW.app_changed_at := OLD.app_changed_at;
        NEW.origin := OLD.origin;
    END IF;
    NEW.source_given := NULL;
    IF changed AND NEW.last_update_source = 'app' THEN
        NEW.app_version := NEW.app_version + 1;
        NEW.updated_at := clock_timestamp();
        NEW.app_changed_at := clock_timestamp();
        -- The application may give dates alone, or turn one kind of time into the other.
        IF NEW.start_date IS NOT NULL OR NEW.start_at IS NOT NULL THEN
            NEW.all_day := NEW.start_date IS NOT NULL;
        END IF;
    ELSIF changed THEN
        NEW.updated_at := coalesce(NEW.last_synced_at, clock_timestamp());
    END IF;
    RETURN NEW;
END
$$;

-- Puts a write of the application into the queue. As the schema's owner: users read the queue and write events only. A
-- cancelled occurrence is told to the provider although it has no id of its own yet; what is deleted for good leaves its
-- link behind; the engine's own writes are nobody's edits.
CREATE FUNCTION queue_google_calendar_sync() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    subject public.events;
    wanted text;
BEGIN
    IF current_setting('app.write_source', true) IN ('engine', 'google') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        subject := OLD;
        wanted := 'delete';
    ELSE
        subject := NEW;
        IF NEW.last_update_source <> 'app' OR (TG_OP = 'UPDATE' AND NEW.app_version = OLD.app_version) THEN
            RETURN NULL;
        END IF;
        wanted := CASE WHEN NEW.deleted_at IS NOT NULL THEN 'delete'
            WHEN NEW.google_event_id IS NULL THEN 'create' ELSE 'update' END;
    END IF;
    IF wanted = 'delete' AND subject.google_event_id IS NULL
        AND (TG_OP = 'DELETE' OR coalesce(subject.series_event_id::text, subject.recurring_event_id) IS NULL)
    THEN
        -- Google never heard of it: an id is committed before Google is asked.
        DELETE FROM public.google_calendar_sync_queue
        WHERE event_id = subject.id AND status IN ('pending', 'parked', 'failed');
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' AND OLD.deleted_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM public.google_calendar_sync_queue
        WHERE event_id = OLD.id AND status IN ('pending', 'parked', 'processing', 'failed')
    ) THEN
        -- Deleted at Google long ago.
        RETURN NULL;
    END IF;
    INSERT INTO public.google_calendar_sync_queue AS waiting
        (company_id, event_id, action, connection_id, app_version, snapshot)
    VALUES (subject.company_id, subject.id, wanted, subject.connection_id, subject.app_version,
        CASE WHEN wanted = 'delete' THEN jsonb_build_object(
            'google_calendar_id', subject.google_calendar_id, 'google_event_id', subject.google_event_id,
            'provider_etag', subject.provider_etag, 'incarnation', subject.incarnation,
            'connection_id', subject.connection_id, 'recurring_event_id', subject.recurring_event_id,
            'original_start', subject.original_start, 'origin', subject.origin, 'app_version', subject.app_version,
            'changed_at', clock_timestamp(), 'send_updates', subject.send_updates, 'title', subject.title,
            'user_id', subject.user_id, 'link', subject.link, 'hard', TG_OP = 'DELETE') END)
    ON CONFLICT (event_id) WHERE status IN ('pending', 'parked') DO UPDATE
        SET action = excluded.action, connection_id = coalesce(excluded.connection_id, waiting.connection_id),
            app_version = excluded.app_version, snapshot = excluded.snapshot, updated_at = clock_timestamp();
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION queue_google_calendar_sync() FROM PUBLIC;

-- Triggers of one kind run in the order of their names.
CREATE TRIGGER events_a_source BEFORE UPDATE OF last_update_source ON events
    FOR EACH ROW EXECUTE FUNCTION events_source_given();
CREATE TRIGGER events_b_written BEFORE INSERT OR UPDATE ON events
    FOR EACH ROW EXECUTE FUNCTION events_written();
CREATE TRIGGER events_queue_google_calendar_sync AFTER INSERT OR UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION queue_google_calendar_sync();

-- The connection that a write of the application belongs to: the event's own, else the one of its calendar, else
-- the user's oldest, else the company's oldest; only among those that take writes.
CREATE FUNCTION calendar_connection_of(p_company uuid, p_connection uuid, p_calendar text, p_user text)
    RETURNS uuid LANGUAGE sql STABLE
    RETURN (
        SELECT c.id FROM google_calendar_connections c
        WHERE c.company_id = p_company
            AND CASE WHEN p_connection IS NOT NULL THEN c.id = p_connection
                WHEN p_calendar IS NOT NULL THEN c.calendar_id = p_calendar
                ELSE c.enabled AND c.state = 'active' AND c.sync_direction IN ('both', 'to_google') END
        ORDER BY (c.user_id IS NOT DISTINCT FROM p_user) DESC, c.created_at, c.id LIMIT 1
    );

-- The runbook asks pg_cron; its answers are ours.
CREATE SCHEMA cron;
CREATE VIEW cron.job WITH (security_invoker = true) AS
    SELECT jobid, schedule, command, jobname, active, company_id FROM schedules;
CREATE VIEW cron.job_run_history WITH (security_invoker = true) AS
    SELECT jobid, job_id, command, status, coalesce(return_message, reason) AS return_message, start_time, end_time,
        company_id
    FROM schedule_runs JOIN schedules USING (jobid, company_id);
GRANT USAGE ON SCHEMA cron TO syncline_app;
GRANT SELECT ON cron.job, cron.job_run_history TO syncline_app;
