-- Queues, jobs, their outputs and the messages to their owners.
--
-- The same text for SQLite and PostgreSQL: $SERIAL is a number that counts itself up, times are milliseconds since 1970,
-- yes and no are 1 and 0. Names of states are those of the code.

-- waiting and running are counted along with every change of a job's state, in its transaction. Whoever changes a state
-- has the queue's row first, so that nobody waits in a circle. last_claim numbers claims, so that queues of one priority
-- take turns.
CREATE TABLE queues (
  name TEXT NOT NULL PRIMARY KEY,
  priority BIGINT NOT NULL DEFAULT 0,
  paused BIGINT NOT NULL DEFAULT 0,
  max_running BIGINT,
  max_waiting BIGINT,
  waiting BIGINT NOT NULL DEFAULT 0,
  running BIGINT NOT NULL DEFAULT 0,
  last_claim BIGINT NOT NULL DEFAULT 0
);

-- Owners take turns within one priority of one queue: the turn that was reached, and the last one that an owner has.
CREATE TABLE lanes (
  queue TEXT NOT NULL,
  priority BIGINT NOT NULL,
  turn BIGINT NOT NULL,
  PRIMARY KEY (queue, priority)
);

CREATE TABLE turns (
  queue TEXT NOT NULL,
  priority BIGINT NOT NULL,
  owner TEXT NOT NULL,
  turn BIGINT NOT NULL,
  PRIMARY KEY (queue, priority, owner)
);

CREATE TABLE batches (
  id $SERIAL,
  owner TEXT NOT NULL,
  created BIGINT NOT NULL
);

-- A job that waits, but not before delayed_until, has that; the claim that finds it due takes it away.
CREATE TABLE jobs (
  id TEXT NOT NULL PRIMARY KEY,
  api TEXT NOT NULL,
  owner TEXT NOT NULL,
  queue TEXT NOT NULL REFERENCES queues (name),
  batch BIGINT,
  priority BIGINT NOT NULL,
  turn BIGINT NOT NULL,
  state TEXT NOT NULL,
  spec TEXT NOT NULL,
  attempt BIGINT NOT NULL DEFAULT 0,
  progress BIGINT NOT NULL DEFAULT 0,
  cancel_requested BIGINT NOT NULL DEFAULT 0,
  worker TEXT,
  lease_until BIGINT,
  delayed_until BIGINT,
  created BIGINT NOT NULL,
  started BIGINT,
  finished BIGINT
);

-- What a claim takes is the first entry of a queue in this one.
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, turn, id) WHERE state = 'waiting' AND delayed_until IS NULL;
CREATE INDEX jobs_delayed ON jobs (delayed_until) WHERE delayed_until IS NOT NULL;
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX jobs_created ON jobs (created, id);
CREATE INDEX jobs_owner ON jobs (owner, created, id, state);
CREATE INDEX jobs_batch ON jobs (batch, created, id) WHERE batch IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished) WHERE finished IS NOT NULL;

CREATE TABLE outputs (
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  outcome TEXT NOT NULL,
  PRIMARY KEY (job, position)
);

-- target is scheme, host and port of the URL: what has a limit of messages in flight. While a message is on its way, due is
-- the end of its lease.
CREATE TABLE notifications (
  id $SERIAL,
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  owner TEXT NOT NULL,
  url TEXT NOT NULL,
  target TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL DEFAULT 0,
  due BIGINT NOT NULL,
  created BIGINT NOT NULL,
  last_problem TEXT
);

CREATE INDEX notifications_due ON notifications (due, target) WHERE state = 'pending';
CREATE INDEX notifications_job ON notifications (job);
CREATE INDEX notifications_owner ON notifications (owner, id);
