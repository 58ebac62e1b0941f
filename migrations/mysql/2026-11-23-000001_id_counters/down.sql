DROP TABLE IF EXISTS id_counters;
