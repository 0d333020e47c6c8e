-- What a notification names beyond its resource: the message in a channel, chat or mailbox. Written by the door in the
-- transaction of its receipt, taken by the run in the transaction that stores what it read.
CREATE TABLE notification_hints (
    company_id uuid NOT NULL REFERENCES companies,
    -- Resource key of the job, such as chat:<id>.
    resource_key text NOT NULL,
    -- Provider id of the message; a reply is "<root>/<reply>".
    hint text NOT NULL CHECK (length(hint) <= 1024),
    change_type text NOT NULL DEFAULT 'updated',
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (company_id, resource_key, hint)
);
COMMENT ON TABLE notification_hints IS 'Messages that notifications named and no run has read yet.';
SELECT protect_tenant_table('notification_hints', true);
