DROP TABLE seed_parts;
