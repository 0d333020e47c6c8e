//! The campaign's own tables, in the database of the jobs: what was asked for, and what was done.

/// Run once as the owner. No unique key anywhere: it would hide what must be counted.
pub const TABLES: &str = "
    CREATE TABLE chaos_asked (
        n bigint GENERATED ALWAYS AS IDENTITY, job_id uuid NOT NULL, company_id uuid NOT NULL, parent uuid,
        coalesced boolean NOT NULL, expect text NOT NULL, resource text, priority integer NOT NULL,
        run_at timestamptz, document text, spawns integer NOT NULL, steps integer NOT NULL,
        asked_at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE chaos_effects (
        n bigint GENERATED ALWAYS AS IDENTITY, job_id uuid NOT NULL, epoch bigint NOT NULL,
        attempt integer NOT NULL, worker uuid NOT NULL, started_at timestamptz NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE chaos_steps (
        n bigint GENERATED ALWAYS AS IDENTITY, job_id uuid NOT NULL, epoch bigint NOT NULL, step bigint NOT NULL);
    CREATE TABLE chaos_documents (
        company_id uuid NOT NULL, key text NOT NULL, wanted bigint NOT NULL, applied bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (company_id, key));
    CREATE TABLE chaos_cancels (job_id uuid NOT NULL);
    GRANT SELECT, INSERT, UPDATE ON chaos_asked, chaos_effects, chaos_steps, chaos_documents, chaos_cancels
        TO syncline_app;";
