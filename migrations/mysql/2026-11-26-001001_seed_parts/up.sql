-- Which parts of a run of `concert seed` are there, so that a run that died goes on where it ended.
-- Part 0 has the plan of the run.
CREATE TABLE IF NOT EXISTS seed_parts (
    run VARCHAR(200) NOT NULL,
    part BIGINT NOT NULL,
    plan TEXT,
    PRIMARY KEY (run, part)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
