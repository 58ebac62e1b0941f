ALTER TABLE queue_states DROP COLUMN policy;
ALTER TABLE queue_policies DROP COLUMN updated_at;
ALTER TABLE queue_policies DROP COLUMN version;
