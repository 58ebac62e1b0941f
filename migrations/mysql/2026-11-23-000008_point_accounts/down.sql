DROP TABLE IF EXISTS point_accounts;
