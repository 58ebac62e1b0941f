-- What operators changed, written in the transaction of the change. The states are JSON.
CREATE TABLE IF NOT EXISTS admin_audit (
    id BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT,
    at BIGINT NOT NULL,
    actor BIGINT,
    request_id VARCHAR(255),
    action VARCHAR(16) NOT NULL,
    resource VARCHAR(16) NOT NULL,
    resource_id BIGINT NOT NULL,
    state_before MEDIUMTEXT,
    state_after MEDIUMTEXT,
    KEY idx_admin_audit_resource (resource, resource_id, id),
    KEY idx_admin_audit_at (at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
