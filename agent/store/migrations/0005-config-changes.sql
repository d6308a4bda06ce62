-- The users' own files come from a repository: each attempt to bring this host's work tree of it forward.

CREATE TABLE config_changes (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  created   INTEGER NOT NULL,
  delivery  INTEGER REFERENCES deliveries(id),
  cause     TEXT NOT NULL,
  commit_id TEXT NOT NULL,              -- that was seen at the tip of the branch
  from_id   TEXT NOT NULL DEFAULT '',   -- what the work tree was at; '': not begun
  to_id     TEXT NOT NULL DEFAULT '',
  phase     TEXT NOT NULL DEFAULT 'queued',
  reason    TEXT NOT NULL DEFAULT '',
  attempts  INTEGER NOT NULL DEFAULT 0,
  finished  INTEGER
) STRICT;
CREATE INDEX config_changes_unfinished ON config_changes(id) WHERE phase IN ('queued', 'running', 'keeping');
CREATE INDEX config_changes_by_delivery ON config_changes(delivery) WHERE delivery IS NOT NULL;
