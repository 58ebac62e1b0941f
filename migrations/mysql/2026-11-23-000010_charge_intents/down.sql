DROP TABLE IF EXISTS charge_intents;
