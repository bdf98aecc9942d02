-- +goose Up

-- Retired ranges touch, so the last one says of every leaf whether its event may go. To
-- look for the range of each event took longer with each batch before.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'event' AND TG_OP = 'DELETE' THEN
    IF (SELECT l.n FROM event_leaf AS l WHERE l.event_id = OLD.id) < (SELECT r.until FROM event_retired AS r ORDER BY r.n DESC LIMIT 1) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'events are append-only';
END $$;
-- +goose StatementEnd

-- Who inserts here deletes: only what a sealed event states, from where the last range
-- ended, and only what is older than 30 days.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_retire() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  stated bigint;
BEGIN
  SELECT (p.data::json -> 'detail' ->> 'until')::bigint INTO stated FROM event AS e JOIN event_personal AS p ON p.event_id = e.id
    JOIN event_leaf AS l ON l.event_id = e.id WHERE e.id = NEW.event_id AND e.kind = 'events_retired';
  IF stated IS NULL OR NEW.until > stated THEN
    RAISE EXCEPTION 'no sealed event states this retirement';
  END IF;
  IF NEW.until <= NEW.n OR NEW.n <> COALESCE((SELECT r.until FROM event_retired AS r WHERE r.n < NEW.n ORDER BY r.n DESC LIMIT 1), 0) THEN
    RAISE EXCEPTION 'retired ranges touch';
  END IF;
  IF EXISTS (SELECT 1 FROM event_leaf AS l JOIN event AS e ON e.id = l.event_id
    WHERE l.n >= NEW.n AND l.n < NEW.until AND e.time > (EXTRACT(EPOCH FROM clock_timestamp()) - 30 * 86400) * 1000000) THEN
    RAISE EXCEPTION 'events younger than 30 days stay';
  END IF;
  DELETE FROM event_personal WHERE event_id IN (SELECT event_id FROM event_leaf WHERE n >= NEW.n AND n < NEW.until);
  DELETE FROM event WHERE id IN (SELECT event_id FROM event_leaf WHERE n >= NEW.n AND n < NEW.until);
  RETURN NULL;
END $$;
-- +goose StatementEnd
