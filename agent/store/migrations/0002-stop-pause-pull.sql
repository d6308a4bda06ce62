-- Rollouts can be stopped, services paused; images are written down before they are made.

ALTER TABLE rollouts ADD COLUMN stop_phase  TEXT NOT NULL DEFAULT '';  -- cancelled or superseded: it is to end so; '': it is not
ALTER TABLE rollouts ADD COLUMN stop_reason TEXT NOT NULL DEFAULT '';

CREATE TABLE pauses (        -- services of which no rollout begins; '' is all of them
  service TEXT PRIMARY KEY,
  reason  TEXT NOT NULL,
  who     TEXT NOT NULL,
  since   INTEGER NOT NULL
) STRICT;

CREATE TABLE pulls (         -- references that were not on the engine before we pulled them
  reference TEXT PRIMARY KEY
) STRICT;

CREATE INDEX targets_by_container ON targets(container_id) WHERE container_id <> '';
