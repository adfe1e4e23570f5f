-- Named pipelines of a bucket, changed by requests, and the buckets whose originals nobody gets without a right to them.
-- They belong to the bucket: whoever may change one may change them all, and delivery asks for them without a key.

CREATE TABLE bucket_styles (
  bucket TEXT NOT NULL,
  name TEXT NOT NULL,
  pipeline TEXT NOT NULL,
  updated BIGINT NOT NULL,
  PRIMARY KEY (bucket, name)
);

CREATE TABLE protected_buckets (
  bucket TEXT NOT NULL PRIMARY KEY,
  since BIGINT NOT NULL
);
