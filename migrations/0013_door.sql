-- How far the spools of the door are replayed: written with what the replay causes, so that nothing is replayed twice.
-- A spool holds deliveries of many companies, and knows none of them.
CREATE TABLE door_spools (
    -- A file of the spool.
    segment uuid PRIMARY KEY,
    -- Entries of it whose effect is committed.
    replayed bigint NOT NULL CHECK (replayed >= 0),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE door_spools IS 'How far files of the spools of webhook-ingress are replayed.';
GRANT SELECT, INSERT, UPDATE, DELETE ON door_spools TO syncline_dispatch;
