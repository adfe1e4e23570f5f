-- Names what a job works on: a digest, since keys may hold what a text of PostgreSQL may not. Jobs from before have none.
ALTER TABLE jobs ADD COLUMN source TEXT;
