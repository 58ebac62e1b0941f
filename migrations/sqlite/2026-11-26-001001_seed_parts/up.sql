-- Which parts of a run of `concert seed` are there, so that a run that died goes on where it ended.
-- Part 0 has the plan of the run.
CREATE TABLE seed_parts (
    run TEXT NOT NULL,
    part INTEGER NOT NULL,
    plan TEXT,
    PRIMARY KEY (run, part)
) WITHOUT ROWID;
