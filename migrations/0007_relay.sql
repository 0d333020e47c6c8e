-- The relay: bells by queue, tenant and priority; looks that do not walk what is already dead.

-- A row is locked by the relay while it is published and deleted in the same transaction, so a crash rolls
-- back and the row is there again. The bell's queue and priority let the relay share out the room in the
-- broker's queues, which are first in, first out.
ALTER TABLE outbox
    ADD COLUMN queue text NOT NULL DEFAULT '',
    ADD COLUMN priority smallint NOT NULL DEFAULT 5,
    -- Refused or returned: not published again before this moment.
    ADD COLUMN not_before timestamptz;
COMMENT ON COLUMN outbox.claimed_until IS
    'Not used any more: relays of the build before 0007 claim with it. Leaves with a later migration.';
-- One lane is the bells of one tenant, queue and priority, in order of arrival.
CREATE INDEX outbox_lane ON outbox (queue, company_id, priority, id);
-- The newest id that was given out, committed or not: what a look may safely start behind.
GRANT SELECT ON SEQUENCE outbox_id_seq TO syncline_app, syncline_dispatch;

-- By start, which a heartbeat does not change: the look for expired leases begins at the oldest running job
-- and not at the first job that ever ran and whose index entry cannot be removed yet.
DROP INDEX jobs_live_running;
CREATE INDEX jobs_live_running ON jobs_live (started_at) WHERE state = 'running';

-- How often the broker gave a job's message up.
CREATE INDEX broker_dead_letters_job ON broker_dead_letters (job_id) WHERE job_id IS NOT NULL;
