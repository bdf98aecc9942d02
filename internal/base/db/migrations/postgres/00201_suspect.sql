-- +goose Up

-- Apps and recovery codes that may be an attacker's: they count, and open nothing, as passkeys do that are suspect.
ALTER TABLE totp ADD COLUMN suspect_at BIGINT;
ALTER TABLE recovery_code ADD COLUMN suspect_at BIGINT;
