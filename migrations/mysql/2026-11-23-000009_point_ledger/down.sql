DROP TABLE IF EXISTS point_ledger;
