-- Images that the server fetches. A row lasts until its image has come or is given up. holder is who fetches it, by a name that no
-- other claim has; due is when it may be taken by whoever comes.
CREATE TABLE project_fetches (
  image TEXT NOT NULL PRIMARY KEY REFERENCES project_images (id) ON DELETE CASCADE,
  owner TEXT NOT NULL,
  url TEXT NOT NULL,
  token TEXT,
  failures BIGINT NOT NULL DEFAULT 0,
  holder TEXT,
  due BIGINT NOT NULL
);

CREATE INDEX project_fetches_due ON project_fetches (due);
CREATE INDEX project_fetches_owner ON project_fetches (owner);

-- When its owner removed it. The objects are deleted first, then it is forgotten.
ALTER TABLE projects ADD COLUMN removed BIGINT;
CREATE INDEX projects_removed ON projects (removed) WHERE removed IS NOT NULL;
