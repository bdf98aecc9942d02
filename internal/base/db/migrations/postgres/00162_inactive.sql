-- +goose Up

-- The mails that announce that an account nobody uses will be deleted: three for each.
CREATE TABLE inactive_notice (
  account_id TEXT   NOT NULL,           -- no foreign key: whoever erases the account need not wait
  step       BIGINT NOT NULL,           -- 1 to 3
  mail_id    TEXT   NOT NULL,           -- its row in the outbox
  queued_at  BIGINT NOT NULL,
  accepted_at BIGINT,                    -- when a mail server took it; null until one has
  PRIMARY KEY (account_id, step)
);
CREATE INDEX inactive_notice_queued ON inactive_notice (step, queued_at);

-- How the deletion of inactive accounts stands: one row at most.
CREATE TABLE inactive_run (
  one           BIGINT PRIMARY KEY CHECK (one = 1),
  ran_at        BIGINT NOT NULL,        -- when it last ran
  day_at        BIGINT NOT NULL,        -- since when day_n counts
  day_n         BIGINT NOT NULL,        -- how many accounts were given over to erasure since
  braked_at     BIGINT NOT NULL,        -- since when nothing is done until somebody says so; 0 if that is not so
  brake         TEXT   NOT NULL,        -- why
  allowed_until BIGINT NOT NULL         -- until when somebody has said so
);
