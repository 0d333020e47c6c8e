-- Outlook calendars beside Google's: the same tables, whose names stay, and the provider of each calendar.

ALTER TABLE calendar_accounts DROP CONSTRAINT calendar_accounts_provider_check;
ALTER TABLE calendar_accounts ADD CONSTRAINT calendar_accounts_provider_check
    CHECK (provider IN ('google', 'microsoft'));

-- Of Microsoft: `calendar_id` is the object id of the mailbox's owner, whose default calendar it is.
ALTER TABLE google_calendar_connections ADD COLUMN provider text NOT NULL DEFAULT 'google'
    CHECK (provider IN ('google', 'microsoft'));

ALTER TABLE events DROP CONSTRAINT events_last_update_source_check;
ALTER TABLE events ADD CONSTRAINT events_last_update_source_check
    CHECK (last_update_source IN ('app', 'google', 'microsoft')) NOT VALID;

-- As before, and a later edit tries again what the provider refused: the row says that it was parked itself, and not its
-- connection, whose entries wait for a person.
CREATE OR REPLACE FUNCTION queue_google_calendar_sync() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    subject public.events;
    wanted text;
    refused boolean;
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
    refused := jsonb_typeof(subject.link -> 'parked') IS NOT DISTINCT FROM 'array';
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
            app_version = excluded.app_version, snapshot = excluded.snapshot, updated_at = clock_timestamp(),
            status = CASE WHEN refused THEN 'pending' ELSE waiting.status END,
            run_at = CASE WHEN refused THEN clock_timestamp() ELSE waiting.run_at END;
    RETURN NULL;
END
$$;
