-- Secrets that all processes share; today the key that queue tokens are sealed with. Releases before
-- this one neither read nor write it.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
