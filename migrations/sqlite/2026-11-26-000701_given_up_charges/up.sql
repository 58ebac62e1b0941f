-- given_up_at: from then on the charge can only be declined. looked_at: when the reconciler last asked.
-- Releases before this one neither read nor write them.
ALTER TABLE charge_intents ADD COLUMN given_up_at INTEGER;
ALTER TABLE charge_intents ADD COLUMN looked_at INTEGER;
