DROP TABLE IF EXISTS consumer_partitions;
