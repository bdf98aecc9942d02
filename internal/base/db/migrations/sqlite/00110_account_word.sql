-- +goose Up

-- What people are found by: the folded words of their addresses and names, and
-- their roles.
CREATE TABLE account_word (
  kind       TEXT NOT NULL,             -- word or role
  word       TEXT NOT NULL,
  account_id TEXT NOT NULL,
  PRIMARY KEY (kind, word, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_word_account ON account_word (account_id, kind, word);

-- 0 until the words of an account from before this version are written.
ALTER TABLE account ADD COLUMN words INTEGER NOT NULL DEFAULT 0;
CREATE INDEX account_words ON account (id) WHERE words = 0;

-- For the lists of those that need somebody's eyes.
CREATE INDEX account_unverified ON account (id) WHERE verified_at IS NULL;
CREATE INDEX account_disabled ON account (id) WHERE disabled_at IS NOT NULL;
CREATE INDEX account_reset ON account (id) WHERE reset_at IS NOT NULL;
