-- +goose Up

-- Mails that wait to be sent, and what became of them. A try pushes due_at on
-- before it begins, so that nobody else tries meanwhile: it is the lease too.
CREATE TABLE outbox (
  id         TEXT    PRIMARY KEY,       -- the Message-ID is made of it
  kind       TEXT    NOT NULL,
  account_id TEXT    NOT NULL,          -- or empty; no foreign key: a mail may outlive its account
  sent_to    TEXT    NOT NULL,          -- the address; empty once sent
  sealed     BLOB,                      -- what it says, under a key of the ring; null once sent
  created_at INTEGER NOT NULL,
  due_at     INTEGER,                   -- the next try; null once sent or given up
  until_at   INTEGER,                   -- when it is of no use any more
  tries      INTEGER NOT NULL,
  error      TEXT    NOT NULL,          -- of the last try
  sent_at    INTEGER,
  dead_at    INTEGER                    -- when it was given up
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_dead ON outbox (dead_at) WHERE dead_at IS NOT NULL;

-- What a session was begun with, as people tell devices and networks apart: a
-- sign-in from ones never seen is told to the owner.
ALTER TABLE session ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN network TEXT NOT NULL DEFAULT '';
