-- Limits of owners and of the number of queues.

-- has_waiting is 1 where waiting is above 0: what claims look for. An index on waiting itself would change with every job.
ALTER TABLE queues ADD COLUMN has_waiting BIGINT NOT NULL DEFAULT 0;
UPDATE queues SET has_waiting = 1 WHERE waiting > 0;
CREATE INDEX queues_waiting ON queues (name) WHERE has_waiting = 1;

-- How many jobs of an owner wait in a queue, and when that last changed. Changed as the counters of queues are. Kept a while
-- after the last job: an owner is shown the queues that held its jobs.
CREATE TABLE owners (
  queue TEXT NOT NULL,
  owner TEXT NOT NULL,
  waiting BIGINT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (queue, owner)
);

INSERT INTO owners (queue, owner, waiting, used)
  SELECT queue, owner, count(CASE WHEN state = 'waiting' THEN 1 END), max(created) FROM jobs GROUP BY queue, owner;
CREATE INDEX owners_owner ON owners (owner, queue);

-- The jobs of one queue: those that are listed, and whether there are any before a queue is forgotten.
CREATE INDEX jobs_queue ON jobs (queue, created, id);
