-- +goose Up

-- Where the gravest actions wait for a second person (APPROVALS): who approved one, empty until then, and until when it can be approved; null is
-- for those that take one person alone.
ALTER TABLE incident_action ADD COLUMN approved_by TEXT NOT NULL DEFAULT '';
ALTER TABLE incident_action ADD COLUMN expires_at INTEGER;
