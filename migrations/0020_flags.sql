-- Operators' switches. A row stands while a switch is away from its normal position; what was switched, by whom and
-- why stays in audit_events.

CREATE TABLE operator_flags (
    company_id uuid NOT NULL REFERENCES companies,
    -- domain::flags::Flag
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    reason text NOT NULL,
    -- Back to normal by itself then; NULL stays until somebody ends it.
    until timestamptz,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (company_id, name)
);
COMMENT ON TABLE operator_flags IS 'Operators'' switches that are away from their normal position.';
SELECT protect_tenant_table('operator_flags', true);

-- Jobs that a switch holds, to be released when it ends.
CREATE INDEX jobs_live_held ON jobs_live (company_id, kind) WHERE state = 'parked' AND park_reason = 'flag';
