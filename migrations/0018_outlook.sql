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
