-- Before this release a policy lay beside its queue only, and was lost with it.
CREATE TABLE IF NOT EXISTS queue_policies (
    concert_id BIGINT NOT NULL PRIMARY KEY,
    mode VARCHAR(8) NOT NULL,
    active_limit BIGINT,
    admissions_per_second BIGINT,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK (mode IN ('OPEN', 'HOLD', 'DRAIN')),
    CHECK (active_limit >= 1),
    CHECK (admissions_per_second >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
