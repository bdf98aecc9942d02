-- +goose Up

-- Tries at passwords. A try counts in two rows: one that all like it share, and
-- one of its own (an address and a network, or a device).
CREATE TABLE guess (
  k       TEXT    PRIMARY KEY,          -- a keyed hash: an address need not have an account
  account TEXT    NOT NULL,             -- the same for all rows of an address
  n       BIGINT  NOT NULL,             -- how many tries since the last success
  next_at BIGINT  NOT NULL,             -- no other before
  seen_at BIGINT  NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX guess_account ON guess (account);

-- Browsers that an account has signed in from.
CREATE TABLE known_device (
  id         TEXT    PRIMARY KEY,
  account_id TEXT    NOT NULL REFERENCES account (id),
  account    TEXT    NOT NULL,          -- as in guess
  created_at BIGINT  NOT NULL,
  seen_at    BIGINT  NOT NULL
);
CREATE INDEX known_device_account ON known_device (account_id);
