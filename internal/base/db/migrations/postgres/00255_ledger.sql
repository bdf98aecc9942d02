-- +goose Up

-- What the ledger beside the backups names the erased with: every backup has it, so the ledger alone names nobody.
ALTER TABLE install ADD COLUMN ledger_key BYTEA NOT NULL DEFAULT '';
UPDATE install SET ledger_key = decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');

-- How far the ledger of each history reaches: up to which leaf of the event log, and since when.
CREATE TABLE ledger_reach (
  timeline TEXT   NOT NULL PRIMARY KEY,
  leaf     BIGINT NOT NULL,
  put_at   BIGINT NOT NULL
);

-- Accounts to whose address no mail goes until an operator says so: a restore has brought back an address that the owner had changed.
CREATE TABLE mail_hold (
  account_id TEXT   NOT NULL PRIMARY KEY,
  since      BIGINT NOT NULL
);
