-- Projects, their images and their tasks.

-- traits is JSON of the API that made it. pending is the kind of the task that starts once every image is final.
CREATE TABLE projects (
  id TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  traits TEXT NOT NULL,
  bucket TEXT NOT NULL,
  pending TEXT,
  created BIGINT NOT NULL
);

CREATE INDEX projects_owner ON projects (owner, created, id);
CREATE INDEX projects_pending ON projects (id) WHERE pending IS NOT NULL;

-- checksum is what the owner says, sha1 what arrived; both are hexadecimal SHA-1. errors is a JSON array of texts. job is the one
-- that looks at the picture.
CREATE TABLE project_images (
  id TEXT NOT NULL PRIMARY KEY,
  project TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  file TEXT NOT NULL,
  way TEXT NOT NULL,
  state TEXT NOT NULL,
  checksum TEXT,
  sha1 TEXT,
  bytes BIGINT,
  width BIGINT,
  height BIGINT,
  errors TEXT NOT NULL,
  job TEXT,
  created BIGINT NOT NULL,
  changed BIGINT NOT NULL
);

CREATE UNIQUE INDEX project_images_file ON project_images (project, file);
CREATE UNIQUE INDEX project_images_checksum ON project_images (project, checksum) WHERE checksum IS NOT NULL;
CREATE INDEX project_images_sha1 ON project_images (project, sha1) WHERE sha1 IS NOT NULL;
CREATE INDEX project_images_page ON project_images (project, created, id);
CREATE INDEX project_images_open ON project_images (changed) WHERE state NOT IN ('Ready', 'Invalid');
CREATE INDEX project_images_job ON project_images (job) WHERE job IS NOT NULL;

-- batch is that of its jobs, once they are submitted.
CREATE TABLE project_tasks (
  id TEXT NOT NULL PRIMARY KEY,
  project TEXT NOT NULL REFERENCES projects (id),
  kind TEXT NOT NULL,
  batch BIGINT,
  is_stopped BIGINT NOT NULL DEFAULT 0,
  created BIGINT NOT NULL
);

CREATE INDEX project_tasks_project ON project_tasks (project, created, id);
CREATE INDEX project_tasks_new ON project_tasks (created) WHERE batch IS NULL;
