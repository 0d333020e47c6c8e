-- The end of a good run writes the AOs whose last run was not good; a drive has thousands of others.
CREATE INDEX aos_unsettled ON aos (company_id, drive_id)
    WHERE last_error IS NOT NULL OR last_sync_status IS DISTINCT FROM 'success' OR failing_since IS NOT NULL;
