-- +goose Up

-- Which event states an erasure; empty if it was before statements named what was
-- erased.
ALTER TABLE event_erased ADD COLUMN statement TEXT NOT NULL DEFAULT '';
CREATE INDEX event_erased_statement ON event_erased (statement);

-- Erasures: the event that states one, and the ids of the events whose personal part
-- goes, each with its commitment, as a JSON list of pairs.
CREATE TABLE event_erasure (
  statement TEXT   PRIMARY KEY,
  parts     TEXT   NOT NULL,
  time      BIGINT NOT NULL
);
CREATE TRIGGER event_erasure_append_only BEFORE UPDATE OR DELETE ON event_erasure FOR EACH ROW EXECUTE FUNCTION event_append_only();

-- Who inserts here erases, and only what an event states, by number and hash. It runs
-- with the owner's rights: the serving role may insert into event_erased nothing by
-- itself. What nobody is named in, as in a statement itself, stays.
-- +goose StatementBegin
CREATE FUNCTION event_erase_stated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
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
  IF detail IS NULL OR (detail ->> 'count')::bigint IS DISTINCT FROM named OR detail ->> 'hash' IS DISTINCT FROM hash OR theirs <> named THEN
    RAISE EXCEPTION 'no event states this erasure';
  END IF;
  INSERT INTO event_erased (event_id, commitment, time, statement)
    SELECT x.part ->> 0, x.part ->> 1, NEW.time, NEW.statement FROM json_array_elements(NEW.parts::json) AS x(part);
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER event_erase_stated AFTER INSERT ON event_erasure FOR EACH ROW EXECUTE FUNCTION event_erase_stated();
