-- Times are milliseconds since 1970 in UTC. Lists and configurations are JSON. Names of phases, kinds and states are those of
-- agent/domain/rollout.cpp and never change.

CREATE TABLE meta (          -- one row each: instance, subnet, last_address
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

CREATE TABLE deliveries (    -- webhooks whose signature was verified
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  received    INTEGER NOT NULL,
  guid        TEXT NOT NULL,
  event       TEXT NOT NULL,
  body_sha256 TEXT NOT NULL UNIQUE,
  repo        TEXT NOT NULL,
  outcome     TEXT NOT NULL
) STRICT;

CREATE TABLE releases (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (          -- what somebody wants to go out; planned when it has a release
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  created  INTEGER NOT NULL,
  delivery INTEGER REFERENCES deliveries(id),
  kind     TEXT NOT NULL,
  service  TEXT NOT NULL,
  commit_id TEXT NOT NULL,
  ref      TEXT NOT NULL,
  image    TEXT NOT NULL,
  revision TEXT NOT NULL,    -- of a rollback, by name; empty: the previous one
  cause    TEXT NOT NULL,
  release_id INTEGER REFERENCES releases(id),
  outcome  TEXT NOT NULL DEFAULT ''  -- why it became no rollout
) STRICT;
CREATE INDEX jobs_waiting ON jobs(id) WHERE release_id IS NULL AND outcome = '';

CREATE TABLE revisions (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  service       TEXT NOT NULL,
  name          TEXT NOT NULL UNIQUE,
  commit_id     TEXT NOT NULL,
  image         TEXT NOT NULL,
  image_asked   TEXT NOT NULL,
  image_is_ours INTEGER NOT NULL,
  config        TEXT NOT NULL,
  config_hash   TEXT NOT NULL,
  promoted      INTEGER,
  pruned        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX revisions_by_service ON revisions(service, promoted);

CREATE TABLE rollouts (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  release_id INTEGER NOT NULL REFERENCES releases(id),
  service    TEXT NOT NULL,
  kind       TEXT NOT NULL,
  cause      TEXT NOT NULL,
  commit_id  TEXT NOT NULL,
  ref        TEXT NOT NULL,
  image      TEXT NOT NULL,
  revision   INTEGER REFERENCES revisions(id),
  previous   INTEGER REFERENCES revisions(id),
  config     TEXT NOT NULL,
  phase      TEXT NOT NULL,
  reason     TEXT NOT NULL,
  log        TEXT NOT NULL,
  created    INTEGER NOT NULL,
  started    INTEGER,
  finished   INTEGER
) STRICT;
CREATE INDEX rollouts_by_service ON rollouts(service, id);
CREATE INDEX rollouts_by_release ON rollouts(release_id);
CREATE INDEX rollouts_unfinished ON rollouts(id) WHERE phase IN ('queued', 'running', 'undoing');

CREATE TABLE targets (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  service        TEXT NOT NULL,
  rollout        INTEGER NOT NULL REFERENCES rollouts(id),
  revision       INTEGER REFERENCES revisions(id),
  slot           INTEGER NOT NULL,
  container_name TEXT NOT NULL,
  container_id   TEXT NOT NULL,
  address        TEXT NOT NULL,
  port           INTEGER NOT NULL,
  state          TEXT NOT NULL
) STRICT;
CREATE INDEX targets_present ON targets(service) WHERE state <> 'gone';
CREATE INDEX targets_by_rollout ON targets(rollout);

CREATE TABLE routes (        -- who gets a service's requests, as last proved
  service TEXT NOT NULL,
  target  INTEGER NOT NULL REFERENCES targets(id),
  PRIMARY KEY (service, target)
) STRICT;

CREATE TABLE steps (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  rollout  INTEGER NOT NULL REFERENCES rollouts(id),
  position INTEGER NOT NULL,
  kind     TEXT NOT NULL,
  targets  TEXT NOT NULL,
  before   TEXT NOT NULL,
  state    TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  started  INTEGER,
  finished INTEGER,
  detail   TEXT NOT NULL DEFAULT '',
  UNIQUE (rollout, position)
) STRICT;

CREATE TABLE events (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  time       INTEGER NOT NULL,
  release_id INTEGER NOT NULL,
  rollout    INTEGER NOT NULL,
  service    TEXT NOT NULL,
  kind       TEXT NOT NULL,
  text       TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_release ON events(release_id, seq);
