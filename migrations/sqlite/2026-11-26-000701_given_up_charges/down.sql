ALTER TABLE charge_intents DROP COLUMN looked_at;
ALTER TABLE charge_intents DROP COLUMN given_up_at;
