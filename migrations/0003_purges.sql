-- What was purged, and the nodes that must hear of it before a purge is answered.

-- The number of the last purge. Whoever purges has this row until the end of the transaction, so that purges become visible in
-- the order of their numbers. Numbers are at least milliseconds since 1970, so that a new database goes on behind an old one.
CREATE TABLE purge_counter (
  id BIGINT NOT NULL PRIMARY KEY,
  number BIGINT NOT NULL
);

INSERT INTO purge_counter (id, number) VALUES (1, 0);

-- The last purge of each scope; id is a hash of it, as keys may be longer than what an index takes.
CREATE TABLE purges (
  id TEXT NOT NULL PRIMARY KEY,
  number BIGINT NOT NULL,
  kind TEXT NOT NULL,
  bucket TEXT NOT NULL,
  name TEXT NOT NULL,
  pipeline TEXT NOT NULL
);

CREATE INDEX purges_number ON purges (number);

-- Nodes that serve, when they were last heard of by the database's clock, and up to which purge they know all.
CREATE TABLE purge_nodes (
  node TEXT NOT NULL PRIMARY KEY,
  seen_at BIGINT NOT NULL,
  applied BIGINT NOT NULL
);
