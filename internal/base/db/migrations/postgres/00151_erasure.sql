-- +goose Up

-- Accounts that are being erased. A row is made, changed and deleted by the triggers of
-- erasure_step alone.
CREATE TABLE erasure (
  account_id TEXT   PRIMARY KEY,
  state      TEXT   NOT NULL,          -- erasing, or done: the account is gone, and what was under way meanwhile is swept up
  why        TEXT   NOT NULL,          -- account.erase_why as it was
  moved_at   BIGINT NOT NULL           -- when it came to this state
);

-- What is asked of the database: begin, delete or end. Its rows are gone with the statement
-- that inserts them.
CREATE TABLE erasure_step (
  account_id TEXT   NOT NULL,
  step       TEXT   NOT NULL,
  time       BIGINT NOT NULL
);

-- It runs with the owner's rights: the serving role may delete no account by itself. Nothing is
-- begun before its time, nor while a change of address can be taken back; no account is
-- deleted that was not begun; and none is forgotten before what was under way is over.
-- +goose StatementBegin
CREATE FUNCTION erasure_move() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM erasure_step WHERE account_id = NEW.account_id;
  IF NEW.step = 'begin' THEN
    INSERT INTO erasure (account_id, state, why, moved_at)
      SELECT a.id, 'erasing', a.erase_why, NEW.time FROM account AS a WHERE a.id = NEW.account_id AND a.erase_at <= NEW.time
        AND NOT EXISTS (SELECT 1 FROM ticket AS t WHERE t.account_id = a.id AND t.purpose = 'undo' AND t.used_at IS NULL AND t.expires_at > NEW.time);
  ELSIF NEW.step = 'delete' THEN
    UPDATE erasure SET state = 'done', moved_at = NEW.time WHERE account_id = NEW.account_id AND state = 'erasing';
    IF FOUND THEN
      DELETE FROM account WHERE id = NEW.account_id;
    END IF;
  ELSIF NEW.step = 'end' THEN
    DELETE FROM erasure WHERE account_id = NEW.account_id AND state = 'done' AND moved_at <= NEW.time - 15000000;
  ELSE
    RAISE EXCEPTION 'an erasure has no such step';
  END IF;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this erasure can not take this step';
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER erasure_move AFTER INSERT ON erasure_step FOR EACH ROW EXECUTE FUNCTION erasure_move();
