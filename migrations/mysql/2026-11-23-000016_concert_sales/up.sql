-- What the payment consumer has added up.
CREATE TABLE IF NOT EXISTS concert_sales (
    concert_id BIGINT NOT NULL PRIMARY KEY,
    sold_seats BIGINT NOT NULL,
    sales BIGINT NOT NULL,
    last_sold_at BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
