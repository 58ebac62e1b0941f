-- What travels beside an event, as a JSON object. Releases before this one neither read nor write it.
ALTER TABLE outbox ADD COLUMN headers TEXT;
ALTER TABLE event_log ADD COLUMN headers TEXT;
ALTER TABLE dead_letters ADD COLUMN headers TEXT;
