-- Folders that carry an AO's name and hold no AO: the only ones that a freed reference concerns. The index that
-- this replaces had every AO's folder in it, and each delta visited them all.
CREATE INDEX drive_items_unbound ON drive_items (drive_no) WHERE placement LIKE 'a/%' AND ao_id IS NULL;
DROP INDEX drive_items_ao;
