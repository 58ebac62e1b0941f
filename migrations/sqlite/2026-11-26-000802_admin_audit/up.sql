-- What operators changed, written in the transaction of the change. The states are JSON.
CREATE TABLE admin_audit (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor INTEGER,
    request_id TEXT,
    action TEXT NOT NULL,
    resource TEXT NOT NULL,
    resource_id INTEGER NOT NULL,
    state_before TEXT,
    state_after TEXT
);
CREATE INDEX idx_admin_audit_resource ON admin_audit (resource, resource_id, id);
CREATE INDEX idx_admin_audit_at ON admin_audit (at);
