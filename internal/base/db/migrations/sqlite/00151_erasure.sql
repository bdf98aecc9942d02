-- +goose Up

-- Accounts that are being erased. A row is made, changed and deleted by the triggers of
-- erasure_step alone.
CREATE TABLE erasure (
  account_id TEXT    PRIMARY KEY,
  state      TEXT    NOT NULL,         -- erasing, or done: the account is gone, and what was under way meanwhile is swept up
  why        TEXT    NOT NULL,         -- account.erase_why as it was
  moved_at   INTEGER NOT NULL          -- when it came to this state
) STRICT;

-- What is asked of the database: begin, delete or end. Its rows are gone with the statement
-- that inserts them.
CREATE TABLE erasure_step (
  account_id TEXT    NOT NULL,
  step       TEXT    NOT NULL,
  time       INTEGER NOT NULL
) STRICT;

-- Nothing is begun before its time, nor while a change of address can be taken back; no account
-- is deleted that was not begun; and none is forgotten before what was under way is over.
-- +goose StatementBegin
CREATE TRIGGER erasure_begin AFTER INSERT ON erasure_step WHEN NEW.step = 'begin'
BEGIN
  DELETE FROM erasure_step WHERE account_id = NEW.account_id;
  SELECT RAISE(ABORT, 'this erasure can not take this step') WHERE NOT EXISTS (
    SELECT 1 FROM account AS a WHERE a.id = NEW.account_id AND a.erase_at <= NEW.time)
    OR EXISTS (SELECT 1 FROM ticket AS t WHERE t.account_id = NEW.account_id AND t.purpose = 'undo' AND t.used_at IS NULL AND t.expires_at > NEW.time);
  INSERT INTO erasure (account_id, state, why, moved_at) SELECT a.id, 'erasing', a.erase_why, NEW.time FROM account AS a WHERE a.id = NEW.account_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER erasure_delete AFTER INSERT ON erasure_step WHEN NEW.step = 'delete'
BEGIN
  DELETE FROM erasure_step WHERE account_id = NEW.account_id;
  SELECT RAISE(ABORT, 'this erasure can not take this step') WHERE NOT EXISTS (
    SELECT 1 FROM erasure WHERE account_id = NEW.account_id AND state = 'erasing');
  UPDATE erasure SET state = 'done', moved_at = NEW.time WHERE account_id = NEW.account_id;
  DELETE FROM account WHERE id = NEW.account_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER erasure_end AFTER INSERT ON erasure_step WHEN NEW.step NOT IN ('begin', 'delete')
BEGIN
  DELETE FROM erasure_step WHERE account_id = NEW.account_id;
  SELECT RAISE(ABORT, 'this erasure can not take this step') WHERE NEW.step <> 'end' OR NOT EXISTS (
    SELECT 1 FROM erasure WHERE account_id = NEW.account_id AND state = 'done' AND moved_at <= NEW.time - 15000000);
  DELETE FROM erasure WHERE account_id = NEW.account_id;
END;
-- +goose StatementEnd
