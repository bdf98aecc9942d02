-- +goose Up

-- What the ledger beside the backups names the erased with: every backup has it, so the ledger alone names nobody.
ALTER TABLE install ADD COLUMN ledger_key BLOB NOT NULL DEFAULT x'';
UPDATE install SET ledger_key = randomblob(32);

-- How far the ledger of each history reaches: up to which leaf of the event log, and since when.
CREATE TABLE ledger_reach (
  timeline TEXT    NOT NULL PRIMARY KEY,
  leaf     INTEGER NOT NULL,
  put_at   INTEGER NOT NULL
) STRICT;

-- Accounts to whose address no mail goes until an operator says so: a restore has brought back an address that the owner had changed.
CREATE TABLE mail_hold (
  account_id TEXT    NOT NULL PRIMARY KEY,
  since      INTEGER NOT NULL
) STRICT;
