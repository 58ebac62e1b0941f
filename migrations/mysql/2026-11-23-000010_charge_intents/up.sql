-- is_open is NULL for a settled intent: only open ones of one key collide.
CREATE TABLE IF NOT EXISTS charge_intents (
    id BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    method VARCHAR(16) NOT NULL,
    detail VARCHAR(200),
    status VARCHAR(16) NOT NULL,
    created_at BIGINT NOT NULL,
    settled_at BIGINT,
    route VARCHAR(100),
    idempotency_key VARCHAR(255),
    fingerprint VARBINARY(64),
    is_open BIGINT GENERATED ALWAYS AS (CASE WHEN status = 'PENDING' THEN 1 END) STORED,
    UNIQUE KEY uq_charge_intents_open_key (user_id, route, idempotency_key, is_open),
    KEY idx_charge_intents_status_created (status, created_at),
    CHECK (amount > 0),
    CHECK (method IN ('CARD', 'TRANSFER')),
    CHECK (status IN ('PENDING', 'APPROVED', 'DECLINED'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
