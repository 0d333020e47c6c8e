-- How many AOs a drive has, so that a delta run need not count them: NULL when it has to be counted again.
ALTER TABLE drives ADD COLUMN ao_count bigint;

CREATE FUNCTION forget_ao_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.drives SET ao_count = NULL
    WHERE company_id = coalesce(NEW.company_id, OLD.company_id) AND drive_id IN (OLD.drive_id, NEW.drive_id)
        AND ao_count IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER aos_forget_count AFTER INSERT OR DELETE OR UPDATE OF drive_id ON aos
    FOR EACH ROW EXECUTE FUNCTION forget_ao_count();
