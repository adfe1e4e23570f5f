-- Registered pictures of DLCS customers. What a picture is comes from the job that read it last, which is kept as long as the
-- picture is (see retention); nothing of a job is written down twice.

CREATE TABLE spaces (
  customer BIGINT NOT NULL,
  id BIGINT NOT NULL,
  name TEXT NOT NULL,
  members TEXT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (customer, id)
);

CREATE TABLE assets (
  customer BIGINT NOT NULL,
  space BIGINT NOT NULL,
  id TEXT NOT NULL,
  members TEXT NOT NULL,
  string1 TEXT NOT NULL,
  string2 TEXT NOT NULL,
  string3 TEXT NOT NULL,
  number1 BIGINT NOT NULL,
  number2 BIGINT NOT NULL,
  number3 BIGINT NOT NULL,
  manifests TEXT NOT NULL,
  job TEXT NOT NULL,
  batch BIGINT,
  created BIGINT NOT NULL,
  PRIMARY KEY (customer, space, id)
);

CREATE INDEX assets_job ON assets (job);
CREATE INDEX assets_batch ON assets (batch, space, id) WHERE batch IS NOT NULL;

-- What a batch was posted with, whichever batch the picture has gone to since.
CREATE TABLE asset_batch_members (
  batch BIGINT NOT NULL,
  space BIGINT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (batch, space, id)
);

-- A batch as it was posted; recounted where it was found to have lost pictures to others. finished is written by whoever ends the last of its jobs, in that transaction; how many have ended is
-- counted in jobs.
CREATE TABLE asset_batches (
  id BIGINT NOT NULL PRIMARY KEY,
  customer BIGINT NOT NULL,
  is_priority BIGINT NOT NULL,
  total BIGINT NOT NULL,
  superseded BIGINT NOT NULL DEFAULT 0,
  recounted BIGINT NOT NULL DEFAULT 0,
  created BIGINT NOT NULL,
  finished BIGINT
);

CREATE INDEX asset_batches_customer ON asset_batches (customer, id);
CREATE INDEX asset_batches_active ON asset_batches (customer, id) WHERE finished IS NULL;
