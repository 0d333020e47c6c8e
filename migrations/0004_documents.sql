-- Drives, the index of everything in them, and the documents derived from the index.

CREATE TABLE drives (
    company_id uuid NOT NULL REFERENCES companies,
    -- One drive belongs to one company: documents.onedrive_id is unique over all of them.
    drive_id text NOT NULL CONSTRAINT drives_drive_id_unique UNIQUE,
    -- Short key of the index rows.
    drive_no bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text NOT NULL DEFAULT '',
    drive_type text NOT NULL DEFAULT '',
    root_item_id text,
    enabled boolean NOT NULL DEFAULT true,
    -- Number of the newest complete enumeration that was begun; rows that it did not see are gone.
    generation bigint NOT NULL DEFAULT 0,
    -- Grows with every stored page; drive_items.changed_seq says which page touched a row last.
    change_seq bigint NOT NULL DEFAULT 0,
    -- Documents reflect the index up to this change_seq.
    projected_seq bigint NOT NULL DEFAULT 0,
    -- Taxonomy that the placements were computed with.
    taxonomy_fingerprint text,
    last_full_at timestamptz,
    last_delta_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, drive_id)
);
SELECT protect_tenant_table('drives', true);

CREATE TABLE drive_items (
    drive_no bigint NOT NULL,
    item_id text NOT NULL,
    company_id uuid NOT NULL,
    parent_id text,
    name text NOT NULL DEFAULT '',
    kind text NOT NULL CHECK (kind IN ('root', 'folder', 'file', 'package', 'remote')),
    size bigint,
    e_tag text,
    c_tag text,
    quick_xor_hash text,
    mime_type text,
    modified_at timestamptz,
    malware boolean NOT NULL DEFAULT false,
    remote_drive_id text,
    remote_item_id text,
    deleted_at timestamptz,
    generation bigint NOT NULL,
    changed_seq bigint NOT NULL,
    -- Folders only: where the folder stands in the taxonomy (NULL: not reachable from the root), its path
    -- from the root, what a file in it belongs to, and the change_seq at which all that was computed.
    placement text,
    path text,
    ao_id text,
    category text,
    placed_seq bigint,
    PRIMARY KEY (drive_no, item_id)
) WITH (fillfactor = 90);
-- Without statistics the planner takes a drive for 1/200 of the table. With them it takes a new drive, or the
-- newest sequence numbers, for next to nothing until the next ANALYZE, finds every index equally cheap and
-- walks the whole drive for each row: a first import of 100,000 items took minutes instead of seconds.
ALTER TABLE drive_items ALTER COLUMN drive_no SET STATISTICS 0, ALTER COLUMN changed_seq SET STATISTICS 0;
CREATE INDEX drive_items_parent ON drive_items (drive_no, parent_id);
CREATE INDEX drive_items_changed ON drive_items (drive_no, changed_seq);
CREATE INDEX drive_items_unplaced ON drive_items (drive_no, item_id)
    WHERE kind IN ('root', 'folder') AND (placed_seq IS NULL OR placed_seq < changed_seq);
-- Folders that carry an AO's name (encoded placement 'a/{reference}').
CREATE INDEX drive_items_ao ON drive_items (drive_no) WHERE placement LIKE 'a/%';
SELECT protect_tenant_table('drive_items');

CREATE TABLE aos (
    company_id uuid NOT NULL REFERENCES companies,
    id text NOT NULL CHECK (id <> ''),
    reference text NOT NULL CHECK (reference <> ''),
    -- Case-folded NFC form: the provider compares names without case.
    reference_key text NOT NULL,
    title text NOT NULL DEFAULT '',
    drive_id text,
    folder_item_id text,
    -- Found in the drive; false when an operator or application wrote it.
    discovered boolean NOT NULL DEFAULT false,
    last_synced_at timestamptz,
    last_sync_status text,
    last_error text,
    failing_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, id),
    CONSTRAINT aos_reference_unique UNIQUE (company_id, reference_key)
);
CREATE INDEX aos_folder ON aos (company_id, folder_item_id);
SELECT protect_tenant_table('aos');

CREATE TABLE documents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id uuid NOT NULL,
    entity_type text NOT NULL DEFAULT 'ao',
    entity_id text NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    -- From the drive's root, segments separated by '/'.
    path text NOT NULL,
    onedrive_id text CONSTRAINT documents_onedrive_id_unique UNIQUE,
    drive_id text,
    kind text NOT NULL DEFAULT 'file' CHECK (kind IN ('file', 'package', 'remote')),
    size bigint,
    e_tag text,
    quick_xor_hash text,
    mime_type text,
    modified_at timestamptz,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- Without company_id: every statement carries it (row-level security), and to a planner without statistics an
-- index with it looks as good as a key, so that one row is sought among all of the company's.
CREATE INDEX documents_entity ON documents (entity_id, entity_type) WHERE deleted_at IS NULL;
CREATE INDEX documents_deleted ON documents (company_id, deleted_at) WHERE deleted_at IS NOT NULL;
SELECT protect_tenant_table('documents');
