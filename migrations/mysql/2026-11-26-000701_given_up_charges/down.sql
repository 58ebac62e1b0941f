ALTER TABLE charge_intents DROP COLUMN looked_at, DROP COLUMN given_up_at;
