-- +goose Up

-- How many mails that somebody else may have caused a mailbox was sent: the leaky
-- bucket of each of its shares.
CREATE TABLE mail_share (
  k    TEXT   PRIMARY KEY,              -- a keyed hash of the share and the address
  due  INTEGER NOT NULL,                 -- how many microseconds of waiting are due,
  at   INTEGER NOT NULL,                 -- and when that was so
  sent INTEGER NOT NULL                  -- whether the last one asked for was sent: 0 or 1
) STRICT;
CREATE INDEX mail_share_at ON mail_share (at);
