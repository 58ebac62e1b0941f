CREATE TABLE IF NOT EXISTS consumer_partitions (
    consumer_group VARCHAR(100) NOT NULL,
    topic VARCHAR(200) NOT NULL,
    part BIGINT NOT NULL,
    owner VARCHAR(200),
    lease_until BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (consumer_group, topic, part)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
