-- +goose Up

-- The mails that announce that an account nobody uses will be deleted: three for each.
CREATE TABLE inactive_notice (
  account_id TEXT   NOT NULL,           -- no foreign key: whoever erases the account need not wait
  step       INTEGER NOT NULL,           -- 1 to 3
  mail_id    TEXT   NOT NULL,           -- its row in the outbox
  queued_at  INTEGER NOT NULL,
  accepted_at INTEGER,                    -- when a mail server took it; null until one has
  PRIMARY KEY (account_id, step)
) STRICT;
CREATE INDEX inactive_notice_queued ON inactive_notice (step, queued_at);

-- How the deletion of inactive accounts stands: one row at most.
CREATE TABLE inactive_run (
  one           INTEGER PRIMARY KEY CHECK (one = 1),
  ran_at        INTEGER NOT NULL,        -- when it last ran
  day_at        INTEGER NOT NULL,        -- since when day_n counts
  day_n         INTEGER NOT NULL,        -- how many accounts were given over to erasure since
  braked_at     INTEGER NOT NULL,        -- since when nothing is done until somebody says so; 0 if that is not so
  brake         TEXT   NOT NULL,        -- why
  allowed_until INTEGER NOT NULL         -- until when somebody has said so
) STRICT;
