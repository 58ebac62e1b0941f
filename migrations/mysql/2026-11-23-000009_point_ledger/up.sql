CREATE TABLE IF NOT EXISTS point_ledger (
    id BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    amount BIGINT NOT NULL,
    balance_after BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    payment_id BIGINT,
    UNIQUE KEY uq_point_ledger_user_sequence (user_id, sequence),
    CONSTRAINT fk_point_ledger_account FOREIGN KEY (user_id) REFERENCES point_accounts (user_id),
    CHECK (kind IN ('CHARGE', 'USE', 'REFUND')),
    CHECK ((kind = 'USE') = (amount < 0)),
    CHECK (balance_after >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
