-- +goose Up

-- How many mails that somebody else may have caused a mailbox was sent: the leaky
-- bucket of each of its shares.
CREATE TABLE mail_share (
  k    TEXT   PRIMARY KEY,              -- a keyed hash of the share and the address
  due  BIGINT NOT NULL,                 -- how many microseconds of waiting are due,
  at   BIGINT NOT NULL,                 -- and when that was so
  sent BIGINT NOT NULL                  -- whether the last one asked for was sent: 0 or 1
);
CREATE INDEX mail_share_at ON mail_share (at);
