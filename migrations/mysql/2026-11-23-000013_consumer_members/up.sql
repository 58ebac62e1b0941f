CREATE TABLE IF NOT EXISTS consumer_members (
    consumer_group VARCHAR(100) NOT NULL,
    topic VARCHAR(200) NOT NULL,
    owner VARCHAR(200) NOT NULL,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (consumer_group, topic, owner)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
