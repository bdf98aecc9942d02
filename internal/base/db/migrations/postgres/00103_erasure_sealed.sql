-- +goose Up

-- Nothing is erased before the event that states it is sealed.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_erase_stated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  detail json;
  named  bigint;
  hash   text;
  theirs bigint;
BEGIN
  SELECT p.data::json -> 'detail' INTO detail FROM event AS e JOIN event_personal AS p ON p.event_id = e.id
    WHERE e.id = NEW.statement AND e.kind = 'events_erased';
  SELECT COUNT(*), encode(sha256(convert_to(string_agg((x.part ->> 0) || ' ' || (x.part ->> 1) || E'\n', '' ORDER BY x.i), 'UTF8')), 'hex')
    INTO named, hash FROM json_array_elements(NEW.parts::json) WITH ORDINALITY AS x(part, i);
  SELECT COUNT(*) INTO theirs FROM json_array_elements(NEW.parts::json) AS x(part)
    JOIN event_personal AS p ON p.event_id = x.part ->> 0 AND p.person <> '';
  IF detail IS NULL OR NOT EXISTS (SELECT 1 FROM event_leaf AS l WHERE l.event_id = NEW.statement)
    OR (detail ->> 'count')::bigint IS DISTINCT FROM named OR detail ->> 'hash' IS DISTINCT FROM hash OR theirs <> named THEN
    RAISE EXCEPTION 'no sealed event states this erasure';
  END IF;
  INSERT INTO event_erased (event_id, commitment, time, statement)
    SELECT x.part ->> 0, x.part ->> 1, NEW.time, NEW.statement FROM json_array_elements(NEW.parts::json) AS x(part);
  RETURN NULL;
END $$;
-- +goose StatementEnd
