-- A policy is the store's, with a version. Releases before this one set it without touching that.
ALTER TABLE queue_policies ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE queue_policies ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
-- policy: the newest that a transition of the queue was told, as JSON.
ALTER TABLE queue_states ADD COLUMN policy TEXT;
