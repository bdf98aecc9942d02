-- +goose Up

-- Which change of address an undo takes back: the account's address_n after it.
-- Using one voids all that have a higher number.
ALTER TABLE ticket ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
-- An undo's: 1 if the address that it leads to was verified, and so is nobody
-- else's to take while the undo lives.
ALTER TABLE ticket ADD COLUMN holds BIGINT NOT NULL DEFAULT 0;
-- A used ticket stays until it expires: pressed again it says that it was used.
ALTER TABLE ticket ADD COLUMN used_at BIGINT;

-- How often the address was changed.
ALTER TABLE account ADD COLUMN address_n BIGINT NOT NULL DEFAULT 0;
-- address_n when the password was last reset by a mail; -1 if it never was.
ALTER TABLE account ADD COLUMN reset_n BIGINT NOT NULL DEFAULT -1;

UPDATE ticket SET holds = 1, seq = (SELECT COUNT(*) FROM ticket AS t
  WHERE t.account_id = ticket.account_id AND t.purpose = 'undo' AND t.id <= ticket.id) WHERE purpose = 'undo';
UPDATE account SET address_n = (SELECT COUNT(*) FROM ticket WHERE ticket.account_id = account.id AND ticket.purpose = 'undo')
  WHERE id IN (SELECT account_id FROM ticket WHERE purpose = 'undo');

-- Passwords that were replaced within the last seven days: any of them opens an
-- undo whose seq is above from_n and not above to_n.
CREATE TABLE former_password (
  id         TEXT   PRIMARY KEY,        -- the account's, and its password_n
  account_id TEXT   NOT NULL,
  hash       TEXT   NOT NULL,           -- the stored form
  from_n     BIGINT NOT NULL,
  to_n       BIGINT,                   -- null if there is no bound: no reset has set it aside
  until_at   BIGINT NOT NULL
);
CREATE INDEX former_password_account ON former_password (account_id);
CREATE INDEX former_password_until ON former_password (until_at);
