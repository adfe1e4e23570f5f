-- Named pipelines, and the queues of buckets that jobs may be submitted for. Both belong to an access key.

CREATE TABLE pipelines (
  id TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  bucket TEXT NOT NULL,
  name TEXT NOT NULL,
  pipeline TEXT NOT NULL,
  is_described BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  UNIQUE (owner, bucket, name)
);

-- id is also the name of the queue. label is what the owner's API calls the bucket; notify is JSON.
CREATE TABLE bucket_queues (
  id TEXT NOT NULL PRIMARY KEY REFERENCES queues (name),
  owner TEXT NOT NULL,
  bucket TEXT NOT NULL,
  label TEXT NOT NULL,
  region TEXT NOT NULL,
  name TEXT NOT NULL,
  notify TEXT NOT NULL,
  is_enabled BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  UNIQUE (owner, bucket)
);
